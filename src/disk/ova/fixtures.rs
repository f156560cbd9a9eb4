//! Archives made member by member, for tests.

/// A header of a plain file.
pub(super) fn header(name: &str, bytes: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    put(&mut header, 0, name.as_bytes());
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 124, format!("{bytes:011o}\0").as_bytes());
    put(&mut header, 136, b"00000000000\0");
    header[156] = b'0';
    put(&mut header, 257, b"ustar\x0000");
    seal(&mut header);
    header
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// Puts a header's checksum right.
pub(super) fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    put(header, 148, format!("{sum:06o}\0 ").as_bytes());
}

/// One member with this header.
pub(super) fn member(mut header: Vec<u8>, data: &[u8]) -> Vec<u8> {
    header.extend(data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

/// A tar of these files.
pub(super) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let members = files.iter().map(|(name, data)| member(header(name, data.len()), data));
    let mut tar: Vec<u8> = members.flatten().collect();
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// The description of a machine with one disk in a file of this name.
pub(super) fn descriptor(href: &str) -> String {
    descriptors(&[href])
}

/// The description of a machine with a disk in each file of these names.
pub(super) fn descriptors(hrefs: &[&str]) -> String {
    let (mut files, mut disks) = (String::new(), String::new());
    for (href, number) in hrefs.iter().zip(1..) {
        files += &format!("<ovf:File ovf:id=\"file{number}\" ovf:href=\"{href}\"/>");
        disks += &format!(
            "<ovf:Disk ovf:diskId=\"disk{number}\" ovf:fileRef=\"file{number}\"\n\
             ovf:capacity=\"1\" ovf:capacityAllocationUnits=\"byte * 2^30\"/>"
        );
    }
    format!(
        "<?xml version=\"1.0\"?>\n<ovf:Envelope xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\">\n\
         <ovf:References>{files}</ovf:References>\n\
         <ovf:DiskSection><ovf:Info>Disks</ovf:Info>{disks}</ovf:DiskSection></ovf:Envelope>\n"
    )
}

/// A manifest of these files.
pub(super) fn manifest(files: &[(&str, &[u8])]) -> String {
    use sha2::Digest;
    let line = |(name, data): &(&str, &[u8])| {
        format!("SHA256({name})= {}\n", hex::encode(sha2::Sha256::digest(data)))
    };
    files.iter().map(line).collect()
}

/// An archive of a machine with this disk, and a manifest.
pub(crate) fn archive(disk: &[u8]) -> Vec<u8> {
    machine(&[("disk.img", disk)])
}

/// An archive of a machine with these disks, by the names of their files, and a manifest.
pub(crate) fn machine(disks: &[(&str, &[u8])]) -> Vec<u8> {
    let names: Vec<&str> = disks.iter().map(|(name, _)| *name).collect();
    let text = descriptors(&names);
    let described = [("machine.ovf", text.as_bytes())];
    let manifest = manifest(&[&described, disks].concat());
    tar(&[&described, &[("machine.mf", manifest.as_bytes())], disks].concat())
}
