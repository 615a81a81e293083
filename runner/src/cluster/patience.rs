//! Waiting for the API server, but not for ever: a loop that waits for one that is away stands still.

use kube::Error;
use std::time::Duration;
use tokio::time::timeout;

/// What answers later is taken for away.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why something could not be read or written.
#[derive(thiserror::Error, Debug)]
pub enum Unanswered {
    /// The API server refused, or could not be reached.
    #[error("the API server: {0}")]
    Api(#[from] Error),
    /// It took too long.
    #[error("the API server did not answer in time")]
    Late,
}

/// What the API server answers, if it does so in time.
pub async fn patiently<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Unanswered> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Unanswered::Late),
    }
}
