//! Stand-ins for HTTP services: a thread for each connection, which answers at once, so that they cost little beside the
//! measured client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A request that a stand-in received.
pub(crate) struct StandInRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

/// The answer of a stand-in: status, further headers, each with its line end, and body.
pub(crate) struct StandInAnswer {
    pub(crate) status: &'static str,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl StandInAnswer {
    /// A JSON answer with status 200.
    pub(crate) fn json(body: impl ToString) -> Self {
        Self {
            status: "200 OK",
            headers: "content-type: application/json\r\n".to_owned(),
            body: body.to_string(),
        }
    }
}

/// Starts a service on a free loopback port. It ends with the process.
pub(crate) fn serve<H>(handle: H) -> SocketAddr
where
    H: Fn(&StandInRequest<'_>) -> StandInAnswer + Clone + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let handle = handle.clone();
            std::thread::spawn(move || answer_all(stream, &handle));
        }
    });
    address
}

/// Answers the requests of one connection until the client closes it.
fn answer_all(mut stream: TcpStream, handle: &impl Fn(&StandInRequest<'_>) -> StandInAnswer) {
    stream.set_nodelay(true).expect("set");
    let mut received = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        while let Some(end) = request_end(&received) {
            let answer = handle(&parse(&received[..end]));
            received.drain(..end);
            let StandInAnswer {
                status,
                headers,
                body,
            } = answer;
            let text = format!(
                "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => received.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The length of the first request, once it is complete.
fn request_end(received: &[u8]) -> Option<usize> {
    let head_end = received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?
        + 4;
    let head = std::str::from_utf8(&received[..head_end]).expect("text");
    let header = |wanted: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        headers.find_map(|(name, value)| {
            name.eq_ignore_ascii_case(wanted)
                .then(|| value.trim().to_owned())
        })
    };
    assert!(header("transfer-encoding").is_none(), "{head}");
    let length: usize = header("content-length").map_or(0, |length| length.parse().expect(head));
    (received.len() >= head_end + length).then_some(head_end + length)
}

fn parse(request: &[u8]) -> StandInRequest<'_> {
    let body = request
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a complete head")
        + 4;
    let head = std::str::from_utf8(&request[..body]).expect("text");
    let mut words = head.split(' ');
    StandInRequest {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        body: &request[body..],
    }
}
