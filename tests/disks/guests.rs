//! Disks of guests: data that compresses and data that does not, zeros of every length, odd ends.

/// A disk, and a name for it.
pub struct Disk {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

/// A generator of numbers that is the same every time.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, most: u64) -> u64 {
        (self.next() >> 11) % most
    }
}

/// Every disk that the matrix goes over. Sizes are whole sectors, as the tools want them.
pub fn disks() -> Vec<Disk> {
    vec![
        Disk { name: "woven", bytes: woven(5 << 20, 1) },
        Disk { name: "odd end", bytes: woven((3 << 20) + 512 * 7, 2) },
        Disk { name: "zeros", bytes: vec![0; 2 << 20] },
        Disk { name: "noise", bytes: noise(1 << 20, 3) },
        Disk { name: "one sector", bytes: noise(512, 4) },
    ]
}

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    (0..bytes).map(|_| (numbers.next() >> 32) as u8).collect()
}

/// Stretches of zeros, text and noise that begin and end anywhere on sectors.
pub fn woven(bytes: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut disk = Vec::with_capacity(bytes);
    while disk.len() < bytes {
        let length = 512 * (1 + numbers.below(400) as usize);
        match numbers.below(4) {
            0 | 1 => disk.resize(disk.len() + length, 0),
            2 => disk.extend((0..length).map(|at| b"all work and no play "[at % 21])),
            _ => disk.extend((0..length).map(|_| (numbers.next() >> 32) as u8)),
        }
    }
    disk.truncate(bytes);
    disk
}
