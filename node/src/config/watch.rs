//! The settings of limits, of logs and of notifications.

use std::path::PathBuf;
use std::time::Duration;

use super::{Build, LimitSettings, RecordSettings, value};
use crate::notify::{self, Targets};

impl Build<'_> {
    pub(super) fn timeout(&mut self, name: &str) -> Option<Duration> {
        let time = self.parsed(name, value::duration)?;
        if time < Duration::from_secs(1) {
            self.refuse(name, "at least 1s");
        }
        Some(time)
    }

    pub(super) fn limits(&mut self) -> Option<LimitSettings> {
        const OF: [&str; 3] = ["ip", "account", "bucket"];
        let mut limits = LimitSettings { requests: [0; 3], bytes: [0; 3] };
        for (i, of) in OF.into_iter().enumerate() {
            limits.requests[i] = self.count(&format!("s3_requests_per_{of}"), 0, 1 << 20)? as u64;
            let name = format!("s3_bytes_per_{of}");
            limits.bytes[i] = self.parsed(&name, value::size)?;
            if (1..32 << 10).contains(&limits.bytes[i]) {
                self.refuse(&name, "at least 32KiB, or 0");
            }
        }
        Some(limits)
    }

    /// Where notifications may go, and what their https is checked against.
    pub(super) fn notification_targets(&mut self) -> (Targets, Option<PathBuf>) {
        let (targets, authorities) = (
            self.values.get("notification_target").map(|raw| raw.texts.clone()).unwrap_or_default(),
            self.path("notification_ca_file"),
        );
        let mut notification_targets: Targets = Vec::new();
        for text in targets {
            let read = match text.split_once('=') {
                Some((name, _)) if notification_targets.iter().any(|(other, _)| other == name) => {
                    Err(format!("`{name}` is there twice"))
                }
                Some((name, url)) if !name.is_empty() => notify::sink(url, authorities.as_deref())
                    .map(|sink| (name.to_owned(), sink))
                    .map_err(|why| format!("`{name}`: {why}")),
                _ => Err("a target is not NAME=URL".to_owned()),
            };
            match read {
                Ok(target) => notification_targets.push(target),
                Err(why) => self.refuse("notification_target", &why),
            }
        }
        (notification_targets, authorities)
    }

    pub(super) fn records(&mut self) -> Option<RecordSettings> {
        // Names of the process's own streams are no paths.
        let file = |name: &str| match self.text(name).map(str::to_ascii_lowercase) {
            Some(word) if ["stdout", "stderr", "-"].contains(&word.as_str()) => Some(word),
            _ => self.path(name).map(|path| path.display().to_string()),
        };
        let (access, admin_access) = (file("access_log"), file("admin_access_log"));
        let webhook = self.text("log_webhook_url").map(str::to_owned);
        if access.is_some() && webhook.is_some() {
            self.refuse("log_webhook_url", "there is an access_log already: it is one or the other");
        }
        let audit_file_size = self.parsed("audit_file_size", value::size)?;
        if audit_file_size < 32 << 10 {
            self.refuse("audit_file_size", "at least 32KiB");
        }
        Some(RecordSettings { access, admin_access, webhook, audit: self.text("audit_log")? == "on", audit_file_size })
    }
}
