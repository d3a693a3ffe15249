//! How alerts leave: once for each change, whoever notices it, and however often.

use super::{Alert, Condition, Status};
use crate::ports::{CallError, Fired, Table, Topic};
use tracing::{error, info};

/// Where alerts leave. The same condition is told once, until its severity changes or it ends.
#[derive(Debug, Clone)]
pub struct Alerts<T, P> {
    /// What is firing already.
    pub table: T,
    /// Who is told.
    pub topic: P,
}

impl<T: Table, P: Topic> Alerts<T, P> {
    /// Tells of a condition that is firing, unless it has been told. Tells whether it did.
    ///
    /// # Errors
    /// When it could not be published. That the table cannot be reached is no reason not to tell: better twice than never.
    pub async fn raise(&self, alert: &Alert) -> Result<bool, CallError> {
        let severity = alert.severity().name();
        let fired = self.table.fire(&alert.subject, alert.condition.name(), severity).await.unwrap_or_else(|problem| {
            error!(error = %problem, alert.key = alert.key(), "The table cannot be reached; telling people anyway");
            Fired::New
        });
        match fired {
            Fired::Known => {
                info!(alert.key = alert.key(), "Told already, and nothing has changed");
                Ok(false)
            }
            Fired::New | Fired::Changed => {
                let published = self.publish(alert).await;
                if published.is_err() {
                    // Nobody was told: whoever finds it next must tell it.
                    let _ = self.table.resolve(&alert.subject, alert.condition.name()).await;
                }
                published.map(|()| true)
            }
        }
    }

    /// Tells that a condition has ended, if it was firing. Tells whether it did.
    ///
    /// # Errors
    /// As [`Alerts::raise`].
    pub async fn resolve(&self, alert: &Alert) -> Result<bool, CallError> {
        let resolved = Alert { status: Status::Resolved, ..alert.clone() };
        if !self.table.resolve(&alert.subject, alert.condition.name()).await? {
            return Ok(false);
        }
        let published = self.publish(&resolved).await;
        if published.is_err() {
            let _ = self.table.fire(&alert.subject, alert.condition.name(), "").await;
        }
        published.map(|()| true)
    }

    /// The conditions of a subject that people have been told of.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn firing(&self, subject: &str) -> Result<Vec<Condition>, CallError> {
        Ok(self.table.firing(subject).await?.iter().filter_map(|name| Condition::by_name(name)).collect())
    }

    async fn publish(&self, alert: &Alert) -> Result<(), CallError> {
        info!(
            alert.key = alert.key(),
            alert.status = alert.status.name(),
            alert.severity = alert.severity().name(),
            "Telling people: {}",
            alert.headline()
        );
        self.topic.publish(alert).await
    }
}
