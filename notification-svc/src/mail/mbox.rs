//! E-mails in a file, as mail programs read it: mbox (RFC 4155, lines quoted as in "mboxrd"). One file a day: a file for each e-mail
//! would cost a file system more than the order costs the databases.

use chrono::{DateTime, Utc};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// An e-mail as it stands in the file: behind a line that nothing in it can be taken for.
pub(super) fn entry(sender: &str, sent_at: DateTime<Utc>, message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    let mut entry = format!("From {sender} {}\n", sent_at.format("%a %b %e %H:%M:%S %Y"));
    for line in text.lines() {
        if line.trim_start_matches('>').starts_with("From ") {
            entry.push('>');
        }
        entry.push_str(line);
        entry.push('\n');
    }
    entry.push('\n');
    entry
}

/// Appends entries to today's file, under a lock: replicas share the folder. When it returns they are on disk; after an error none of
/// them is there. A process that is killed may leave the last one in part, and then all of them once more when it is done again.
pub(super) fn append(folder: &Path, entries: &[String]) -> io::Result<()> {
    let path = folder.join(format!("{}.mbox", Utc::now().format("%Y-%m-%d")));
    // Customers' addresses and orders: for nobody else on the machine.
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    file.lock()?;
    let before = file.metadata()?.len();
    let begin = if ends_with_an_entry(&file, before)? { "" } else { "\n\n" };
    let text = [begin, &entries.concat()].concat();
    let mut write = || {
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        // The name of a new file is on disk with its folder.
        if before == 0 { File::open(folder)?.sync_all() } else { Ok(()) }
    };
    let written = write();
    if written.is_err()
        && let Err(error) = file.set_len(before)
    {
        tracing::warn!(%error, "an e-mail that could not be written whole is in the file in part");
    }
    written
}

/// Else somebody has ended in the middle of one; the next begins behind an empty line all the same.
fn ends_with_an_entry(file: &File, length: u64) -> io::Result<bool> {
    let mut end = [0; 2];
    if length >= 2 {
        file.read_exact_at(&mut end, length - 2)?;
    }
    Ok(length == 0 || &end == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_e_mail_begins_another() {
        let message = b"Subject: x\r\n\r\nFrom here on\r\n>From there\r\nfrom below\r\n";
        let entry = entry("shop@example.org", DateTime::from_timestamp(1_795_400_000, 0).expect("a time"), message);
        let lines: Vec<&str> = entry.lines().collect();
        assert_eq!(lines[0], "From shop@example.org Mon Nov 23 02:13:20 2026");
        assert_eq!(lines[1..], ["Subject: x", "", ">From here on", ">>From there", "from below", ""]);
    }

    #[test]
    fn what_was_left_half_written_does_not_swallow_the_next() -> io::Result<()> {
        let folder = std::env::temp_dir().join(format!("ordersaga-mbox-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        append(&folder, &["From a\nhalf a li".to_owned()])?;
        append(&folder, &["From b\n\n".to_owned(), "From c\n\n".to_owned()])?;
        append(&folder, &["From d\n\n".to_owned()])?;
        let path = std::fs::read_dir(&folder)?.next().ok_or_else(|| io::Error::other("no file"))??.path();
        assert_eq!(std::fs::read_to_string(path)?, "From a\nhalf a li\n\nFrom b\n\nFrom c\n\nFrom d\n\n");
        std::fs::remove_dir_all(folder)
    }
}
