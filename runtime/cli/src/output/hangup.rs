//! Whoever reads stdout may go while nothing is printed: `fnctl tail S | head -1` must not wait for
//! another record to find out.

use std::{io, os::fd::AsFd};

use tokio::{io::Interest, net::unix::pipe::Sender};

/// Waits until nobody reads stdout any more. Of a file, or of anything else that cannot be watched, it
/// waits for ever: writing finds out.
pub(crate) async fn stdout_closed() {
    if let Ok(stdout) = watched()
        && stdout.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// stdout once more, to be watched only: it is never written here, and its mode stays what it is.
fn watched() -> io::Result<Sender> {
    Sender::from_owned_fd_unchecked(io::stdout().as_fd().try_clone_to_owned()?)
}
