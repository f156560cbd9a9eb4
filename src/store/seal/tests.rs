//! What sealing promises: it opens in its place only, with its key only, and to the same bytes
//! in every build.

use super::*;

const CONTEXT: SealContext = SealContext {
    kind: 1,
    object: [7; 16],
    number: 3,
    generation: 2,
    domain: 1,
    format: 5,
    has_short_id: false,
};

fn key(seed: u8) -> DomainKey {
    let bytes: Vec<u8> = (0..DomainKey::BYTES as u8).map(|n| n ^ seed).collect();
    DomainKey::from_bytes(&bytes).unwrap()
}

fn sealed(counter: u64) -> Vec<u8> {
    let mut data = b"sixteen tons of bytes".to_vec();
    ObjectCipher::new(&key(0), CONTEXT).seal(counter, &mut data);
    data
}

fn opens(key: &DomainKey, context: SealContext, counter: u64, mut data: Vec<u8>) -> bool {
    let opened = ObjectCipher::new(key, context).open(counter, &mut data);
    assert_eq!(data, if opened.is_ok() { &b"sixteen tons of bytes"[..] } else { b"" });
    opened.is_ok()
}

#[test]
fn what_works_with_keys_wipes_them() {
    fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
    is_wiped::<aes_gcm::Aes256Gcm>();
    is_wiped::<aes::Aes256>();
    is_wiped::<Sha256>();
}

#[test]
fn what_was_sealed_opens() {
    assert_eq!(sealed(9).len(), 21 + TAG_BYTES);
    assert!(opens(&key(0), CONTEXT, 9, sealed(9)));
    let cipher = ObjectCipher::new(&key(0), CONTEXT);
    let mut empty = Vec::new();
    cipher.seal(0, &mut empty);
    assert_eq!(empty.len(), TAG_BYTES);
    assert_eq!(cipher.open(0, &mut empty), Ok(()));
    assert!(empty.is_empty());
}

#[test]
fn every_part_of_the_context_matters() {
    let others = [
        SealContext { kind: 2, ..CONTEXT },
        SealContext { object: [8; 16], ..CONTEXT },
        SealContext { number: 4, ..CONTEXT },
        SealContext { generation: 3, ..CONTEXT },
        SealContext { domain: 2, ..CONTEXT },
        SealContext { format: 6, ..CONTEXT },
        SealContext { has_short_id: true, ..CONTEXT },
    ];
    for other in others {
        assert!(!opens(&key(0), other, 9, sealed(9)), "{other:?}");
    }
    assert!(!opens(&key(0), CONTEXT, 10, sealed(9)));
}

#[test]
fn associated_data_holds_every_field_at_its_place() {
    let context = SealContext {
        kind: 1,
        object: [2; 16],
        number: 0x0304,
        generation: 5,
        domain: 6,
        format: 0x0708,
        has_short_id: false,
    };
    let golden = "01\
        02020202020202020202020202020202\
        0403000000000000\
        05000000\
        06000000\
        0a09000000000000\
        0807";
    assert_eq!(hex::encode(context.associated_data(0x090a)), golden);
}

#[test]
fn another_key_does_not_open() {
    assert!(!opens(&key(1), CONTEXT, 9, sealed(9)));
}

#[test]
fn altered_and_cut_bytes_do_not_open() {
    let good = sealed(9);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(!opens(&key(0), CONTEXT, 9, bad), "byte {at}");
    }
    for length in 0..good.len() {
        assert!(!opens(&key(0), CONTEXT, 9, good[..length].to_vec()), "length {length}");
    }
}

#[test]
fn each_object_has_a_key_of_its_own() {
    // Same nonce, other object: were the key the same, the texts would differ in the tag alone.
    let mut other = b"sixteen tons of bytes".to_vec();
    ObjectCipher::new(&key(0), SealContext { object: [8; 16], ..CONTEXT }).seal(9, &mut other);
    assert_ne!(other[..21], sealed(9)[..21]);
}

#[test]
fn sealed_bytes_are_golden() {
    let golden = "08746903ebcb39638f3bc3d52c84bd82e5d74d7fe1208cf584d9f172f30aff3b7ffa5dfce6";
    assert_eq!(hex::encode(sealed(0x0102_0304)), golden);
}

#[test]
fn chunk_names_are_golden_and_differ_by_domain() {
    let name = key(0).name(&[9; 32]);
    assert_eq!(hex::encode(name), "d752ff5138dda14e58c9c221db83ae14432b6de06b1caa7dba5dadb82eed0003");
    assert_ne!(key(1).name(&[9; 32]), name);
    assert_ne!(key(0).name(&[8; 32]), name);
}

#[cfg(feature = "fast-crypto")]
#[test]
fn both_ciphers_give_the_same_bytes_and_open_each_others() {
    let raw = [42; KEY_BYTES];
    let (fast, portable) = (aead::fast::Aead::new(&raw), aead::portable::Aead::new(&raw));
    for length in [0, 1, 15, 16, 17, 4096, 70_001] {
        let plain: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let at = nonce(length as u64);
        let (mut by_fast, mut by_portable) = (plain.clone(), plain.clone());
        fast.seal(&at, b"bound", &mut by_fast);
        portable.seal(&at, b"bound", &mut by_portable);
        assert!(by_fast == by_portable, "length {length}");
        assert_eq!(fast.open(&at, b"other", &mut by_fast.clone()), Err(Unsealable));
        assert_eq!(portable.open(&at, b"other", &mut by_fast.clone()), Err(Unsealable));
        assert_eq!(portable.open(&at, b"bound", &mut by_fast), Ok(()));
        assert_eq!(fast.open(&at, b"bound", &mut by_portable), Ok(()));
        assert!(by_fast == plain && by_portable == plain, "length {length}");
    }
}

#[test]
fn a_cipher_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<ObjectCipher>();
    shared::<DomainKey>();
}

#[test]
fn keys_do_not_print() {
    assert_eq!(format!("{:?}", key(0)), "DomainKey(..)");
}
