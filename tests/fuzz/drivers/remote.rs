//! An NBD server that says what it was given, whatever it is asked, and a client that wants a disk of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;

use tintype::disk::Source;
use tintype::nbd::client::{Address, Remote};

/// One port for all that is asked, as ports are few.
static LISTENER: LazyLock<TcpListener> = LazyLock::new(|| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
/// Bytes that are asked for.
const READ_BYTES: u64 = 64 << 10;

/// Reads a disk of a server that says this.
pub fn nbd_client(data: &[u8]) {
    let port = LISTENER.local_addr().expect("it is bound").port();
    let said = data.to_vec();
    let server = thread::spawn(move || {
        let Ok((client, _)) = LISTENER.accept() else { return };
        say(client, &said);
    });
    let address = Address::parse(&format!("nbd://127.0.0.1:{port}/disk"));
    if let Some(Ok(address)) = address
        && let Ok(remote) = Remote::connect(&address)
    {
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
    server.join().expect("the server does not panic");
}

/// Says all of it, and hears what is asked until the client leaves.
fn say(mut client: TcpStream, said: &[u8]) {
    let mut asked = [0; 4096];
    // A client that leaves early breaks the connection.
    if client.write_all(said).and_then(|()| client.shutdown(Shutdown::Write)).is_ok() {
        while client.read(&mut asked).is_ok_and(|count| count > 0) {}
    }
}
