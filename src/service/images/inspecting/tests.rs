//! Reports on made disks: what is found fault with, what is proposed, and that no secret is told.

use super::{Code, DriverState, Inspection};
use crate::disk::inside::fixtures::{Content, bootable_iso, ext, fat, iso};
use crate::disk::inside::partitions::gpt_image;
use crate::model::ImageId;
use crate::service::images::looking::tests::uploaded;
use crate::service::images::{Change, Existing};
use crate::service::testing::{member, service};
use crate::service::{ErrorKind, Service};

const SECRET: &str = "s3cret-of-the-image";
const ESP: uuid::Uuid = uuid::uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const LINUX: uuid::Uuid = uuid::uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

/// The beginning of a program for x86-64.
fn program() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    header[18] = 62;
    header
}

const RELEASE: &[u8] = b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n";

/// A disk in order: nothing is left of another machine.
fn sound() -> Vec<u8> {
    let program = program();
    ext(&[
        ("/etc/os-release", Content::File(RELEASE)),
        ("/bin", Content::Link("usr/bin")),
        ("/usr/bin/sh", Content::File(&program)),
        ("/usr/bin/cloud-init", Content::File(b"#!")),
        ("/etc/cloud/cloud.cfg", Content::File(b"datasource_list: [ NoCloud, OpenStack ]\n")),
        ("/etc/machine-id", Content::File(b"uninitialized\n")),
        ("/etc/fstab", Content::File(b"UUID=1-2 / ext4 defaults 0 1\n")),
        ("/etc/shadow", Content::File(b"root:*:19000::::::\n")),
        ("/boot/vmlinuz-6.1", Content::File(b"k")),
        ("/boot/initrd.img-6.1", Content::File(b"i")),
        ("/lib/modules/6.1/modules.dep", Content::File(b"kernel/virtio_net.ko:\n")),
        ("/lib/modules/6.1/modules.builtin", Content::File(b"kernel/virtio_blk.ko\n")),
    ])
}

/// A disk that a machine was made from without a thought.
fn careless() -> Vec<u8> {
    let (program, secret) = (program(), SECRET.as_bytes());
    let shadow = format!("root:$6${SECRET}:19000::::::\n");
    let key = format!("ssh-ed25519 {SECRET}\n");
    ext(&[
        ("/etc/os-release", Content::File(RELEASE)),
        ("/bin/sh", Content::File(&program)),
        ("/etc/machine-id", Content::File(b"0123456789abcdef0123456789abcdef\n")),
        ("/etc/fstab", Content::File(b"/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n")),
        ("/boot/grub/grub.cfg", Content::File(b"  linux /vmlinuz root=/dev/sda1 ro\n")),
        ("/etc/shadow", Content::File(shadow.as_bytes())),
        ("/etc/ssh/ssh_host_rsa_key", Content::File(secret)),
        ("/root/.ssh/authorized_keys", Content::File(key.as_bytes())),
        ("/home/me/.bash_history", Content::File(secret)),
        ("/boot/vmlinuz-6.1", Content::File(b"k")),
        ("/lib/modules/6.1/modules.dep", Content::File(b"kernel/ahci.ko:\n")),
        ("/etc/initramfs-tools/initramfs.conf", Content::File(b"MODULES=dep\n")),
        ("/etc/network/interfaces", Content::File(b"iface eth0 inet static\n")),
        ("/etc/udev/rules.d/70-persistent-net.rules", Content::File(b"x")),
        ("/usr/bin/vmtoolsd", Content::File(b"x")),
    ])
}

/// A divided disk with an EFI system partition in front of this root.
fn divided(root: &[u8]) -> Vec<u8> {
    let esp = fat(&[("/EFI/BOOT/BOOTX64.EFI", Content::File(b"MZ"))]);
    of_two((ESP, &esp), root)
}

/// A disk with a partition of this type in front of this root.
fn of_two((kind, first): (uuid::Uuid, &[u8]), root: &[u8]) -> Vec<u8> {
    let (first_sectors, root_sectors) = (first.len().div_ceil(512), root.len().div_ceil(512));
    let mut image = gpt_image(&[
        (kind, 40, 39 + first_sectors as u64, "first"),
        (LINUX, 40 + first_sectors as u64, 39 + (first_sectors + root_sectors) as u64, "root"),
    ]);
    image[40 * 512..][..first.len()].copy_from_slice(first);
    image[(40 + first_sectors) * 512..][..root.len()].copy_from_slice(root);
    image
}

async fn inspected(service: &Service, data: Vec<u8>) -> (ImageId, std::sync::Arc<Inspection>) {
    let (image, outcome) = uploaded(service, "raw", data).await;
    outcome.unwrap();
    let (_, inspection) = service.inspect_image(&member("p"), &image.id).unwrap();
    (image.id, inspection)
}

fn codes(inspection: &Inspection) -> Vec<Code> {
    inspection.findings.iter().map(|finding| finding.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_image_is_described_and_nothing_is_found() {
    let (service, _) = service();
    let (_, report) = inspected(&service, divided(&sound())).await;
    assert_eq!(codes(&report), []);
    assert_eq!((report.root, report.system.architecture), (Some(2), Some("x86_64")));
    assert_eq!(report.system.name.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    assert_eq!((report.boot.uefi, report.boot.bios), (true, false));
    let kernel = &report.kernels[0];
    assert_eq!(kernel.path.as_deref(), Some("/boot/vmlinuz-6.1"));
    assert_eq!(kernel.initramfs.as_deref(), Some("/boot/initrd.img-6.1"));
    let states: Vec<DriverState> = kernel.drivers.iter().map(|driver| driver.state).collect();
    use DriverState::{Absent, BuiltIn, Module};
    assert_eq!(states, [BuiltIn, Absent, Module, Absent]);
    assert_eq!(report.cloud_init.as_ref().unwrap().datasources, ["NoCloud", "OpenStack"]);
    let volumes: Vec<_> = report.volumes.iter().map(|volume| (volume.number, volume.file_system)).collect();
    assert_eq!(volumes, [(1, Some("vfat")), (2, Some("ext4"))]);
    assert_eq!(report.volumes[1].free_bytes, Some(16 * 1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_machine_left_is_found_and_not_repeated() {
    let (service, _) = service();
    let (_, report) = inspected(&service, careless()).await;
    let found = codes(&report);
    for code in [
        Code::NoVirtioDriver,
        Code::OwnDriversOnly,
        Code::DeviceNamesInFstab,
        Code::DeviceNamesInLoader,
        Code::NoCloudInit,
        Code::MachineIdLeft,
        Code::HostKeysLeft,
        Code::RootPasswordSet,
        Code::AuthorizedKeysLeft,
        Code::HistoryLeft,
        Code::NetRulesLeft,
        Code::StaticAddress,
        Code::ForeignTools,
        Code::SwapInside,
    ] {
        assert!(found.contains(&code), "{code:?} is not in {found:?}");
    }
    assert!(found.is_sorted_by_key(|code| code.severity()));
    let told = format!("{report:?}");
    assert!(!told.contains(SECRET) && !told.contains("0123456789abcdef"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_set_where_they_are_not_unless_it_is_asked_for() {
    let (service, _) = service();
    let (id, _) = inspected(&service, divided(&sound())).await;
    let own = Change::SetProperty { name: "os_distro".into(), value: "mine".into(), existing: Existing::Any };
    service.update_image(&member("p"), &id, vec![own]).unwrap();
    let described = service.describe_image(&member("p"), &id, false).unwrap();
    assert_eq!(described.kept, [("os_distro", "debian".to_owned())]);
    let value = |name: &str| described.image.properties.get(name).map(String::as_str);
    assert_eq!((value("os_distro"), value("os_version")), (Some("mine"), Some("12")));
    assert_eq!((value("architecture"), value("hw_firmware_type")), (Some("x86_64"), Some("uefi")));
    let over = service.describe_image(&member("p"), &id, true).unwrap();
    assert_eq!(over.set, [("os_distro", "debian".to_owned())]);
    let strange = service.describe_image(&member("q"), &id, true).err().unwrap();
    assert_eq!(strange.kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_lead_to_themselves_do_not_end_the_look() {
    let (service, _) = service();
    let data = ext(&[("/etc", Content::Link("etc")), ("/EFI", Content::Link("EFI"))]);
    let (_, report) = inspected(&service, of_two((ESP, &data), &sound())).await;
    assert_eq!((report.root, report.system.id.as_deref()), (Some(2), Some("debian")));
    assert_eq!(codes(&report), [Code::NoLoader]);
    let root = ext(&[("/etc/os-release", Content::File(RELEASE)), ("/boot", Content::Link("boot"))]);
    let (_, report) = inspected(&service, root).await;
    assert_eq!(report.system.id.as_deref(), Some("debian"));
    let (last, unread) = report.findings.split_last().unwrap();
    assert_eq!(last.code, Code::NoCloudInit);
    assert_eq!((unread[0].code, unread[0].path.as_deref()), (Code::NotReadable, Some("/boot")));
    assert!(unread.iter().all(|found| found.sentence.contains("too many links")), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_nonsense_is_reported_on_too() {
    let (service, _) = service();
    let (id, report) = inspected(&service, vec![0xa5; 100_000]).await;
    assert_eq!((report.volumes.len(), codes(&report)), (0, vec![]));
    let none = service.open_tree(&member("p"), &id, None).err().unwrap();
    assert_eq!(none.kind, ErrorKind::UnsupportedContent);
    let mut broken = sound();
    broken[1024 + 0x18] = 40;
    let (_, report) = inspected(&service, broken).await;
    assert_eq!(codes(&report), [Code::NotReadable]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_from_the_root_or_the_partition_that_is_named() {
    let (service, _) = service();
    let (id, _) = inspected(&service, divided(&sound())).await;
    let tree = service.open_tree(&member("p"), &id, None).unwrap();
    assert_eq!(tree.volume, 2);
    let file = tree.open(tree.find("/bin/sh").unwrap()).unwrap();
    assert_eq!((file.path.as_str(), file.size_bytes()), ("/usr/bin/sh", 64));
    assert_eq!(file.read_at(18, 2).unwrap(), [62, 0]);
    let esp = service.open_tree(&member("p"), &id, Some(1)).unwrap();
    let loader = esp.open(esp.find("/efi/boot/bootx64.efi").unwrap()).unwrap();
    assert_eq!(loader.read_at(0, 2).unwrap(), b"MZ");
    let absent = service.open_tree(&member("p"), &id, Some(9)).err().unwrap();
    assert_eq!(absent.kind, ErrorKind::NotFound);
    assert_eq!(tree.find("/nothing").err().unwrap().kind, ErrorKind::NotFound);
    assert_eq!(tree.open(tree.find("/etc").unwrap()).err().unwrap().kind, ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disc_is_a_tree_of_its_own() {
    let (service, _) = service();
    let disc = iso(&[("/dists/stable/Release", Content::File(b"Suite: stable\n"))], true);
    let (image, outcome) = uploaded(&service, "iso", disc).await;
    outcome.unwrap();
    let tree = service.open_tree(&member("p"), &image.id, None).unwrap();
    assert_eq!(tree.volume, 0);
    let file = tree.open(tree.find("dists/stable/Release").unwrap()).unwrap();
    assert_eq!(file.read_at(0, 14).unwrap(), b"Suite: stable\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disc_starts_by_the_firmware_that_its_boot_catalog_is_for() {
    let (service, _) = service();
    let (none, loader) =
        ([("/file", Content::File(b"x"))], [("/EFI/BOOT/BOOTX64.EFI", Content::File(b"MZ"))]);
    for (disc, wanted, firmware) in [
        (bootable_iso(&none, &[0]), (true, false), Some("bios")),
        (bootable_iso(&none, &[0xef]), (false, true), Some("uefi")),
        (bootable_iso(&none, &[0, 0xef]), (true, true), None),
        (bootable_iso(&loader, &[0]), (true, true), None),
        (iso(&loader, true), (false, true), Some("uefi")),
        (iso(&none, true), (false, false), None),
    ] {
        let (image, outcome) = uploaded(&service, "iso", disc).await;
        outcome.unwrap();
        let (_, report) = service.inspect_image(&member("p"), &image.id).unwrap();
        assert_eq!((report.boot.bios, report.boot.uefi), wanted);
        let proposed = report.proposed.iter().find(|(name, _)| *name == "hw_firmware_type");
        assert_eq!(proposed.map(|(_, value)| value.as_str()), firmware);
    }
}
