//! A received request or response that can be changed and sent on.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// A message's first line, its headers without `Content-Length`, and its body.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The request line or the status line, without its end.
    pub first_line: String,
    /// The names and values of the headers.
    pub headers: Vec<(String, String)>,
    /// The body, as it was sent.
    pub body: Vec<u8>,
    /// The body of the previous response to a request to the same path.
    pub before: Option<Vec<u8>>,
}

impl Message {
    /// Reads a message whose body has a length; returns `None` if the connection ends.
    pub async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Option<Self> {
        let mut message = Self::default();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if from.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if message.first_line.is_empty() {
                line.clone_into(&mut message.first_line);
                continue;
            }
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok()?;
            } else {
                message.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        message.body = vec![0; length];
        from.read_exact(&mut message.body).await.ok()?;
        Some(message)
    }

    /// Returns a request's path without the prefix `/api`.
    pub fn path(&self) -> &str {
        let path = self.first_line.split(' ').nth(1).unwrap_or_default();
        path.strip_prefix("/api").unwrap_or(path)
    }

    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.first_line = format!("HTTP/1.1 {status} Said By The Test");
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the head; `Content-Length` is the body's length unless the headers declare the length themselves.
    pub fn head(&self) -> Vec<u8> {
        let says_length = |(name, _): &(String, String)| {
            ["content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str())
        };
        let length = (!self.headers.iter().any(says_length))
            .then(|| ("content-length".to_owned(), self.body.len().to_string()));
        let headers: String = self
            .headers
            .iter()
            .chain(&length)
            .map(|(name, value)| [name, ": ", value, "\r\n"].concat())
            .collect();
        format!("{}\r\n{headers}\r\n", self.first_line).into_bytes()
    }

    /// Returns the whole message.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}
