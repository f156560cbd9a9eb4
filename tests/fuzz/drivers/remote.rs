//! An NBD server that says what it was given, whatever it is asked, and a client that wants a disk of it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::thread;

use tintype::disk::Source;
use tintype::nbd::client::{Address, Remote};

/// One place for all that is asked, one after the other.
static PLACE: LazyLock<Mutex<(PathBuf, UnixListener)>> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("tintype-fuzz-{}", std::process::id()));
    // Of a process that had the same number.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket can be made in the folder for such files");
    Mutex::new((path, listener))
});
/// Bytes that are asked for.
const READ_BYTES: u64 = 64 << 10;

/// Reads a disk of a server that says this.
pub fn nbd_client(data: &[u8]) {
    let place = PLACE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let address = Address::parse(&format!("nbd+unix:///disk?socket={}", place.0.display()));
    let Some(Ok(address)) = address else { panic!("it is an address") };
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            if let Ok((client, _)) = place.1.accept() {
                say(client, data);
            }
        });
        if let Ok(remote) = Remote::connect(&address) {
            read(&remote);
        }
        // A scope waits for what a thread does, not for its end: what it has not given back by then would be taken for a leak.
        server.join().expect("a server that says anything comes to an end");
    });
}

fn read(remote: &Remote) {
    let size = remote.size_bytes();
    for at in [0, size / 2] {
        if at >= size {
            break;
        }
        let stretch = remote.stretch_at(at);
        assert!((1..=size - at).contains(&stretch.bytes), "a stretch lies on the disk");
        let mut out = vec![0; READ_BYTES.min(size - at) as usize];
        let _ = remote.read_exact_at(at, &mut out);
    }
}

/// Says all of it, and hears what is asked until the client leaves.
fn say(mut client: UnixStream, said: &[u8]) {
    let mut asked = [0; 4096];
    // A client that leaves early breaks the connection.
    if client.write_all(said).and_then(|()| client.shutdown(Shutdown::Write)).is_ok() {
        while client.read(&mut asked).is_ok_and(|count| count > 0) {}
    }
}
