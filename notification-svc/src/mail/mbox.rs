//! E-mails in a file, as mail programs read it: mbox (RFC 4155, lines quoted as in "mboxrd"). One file a day: a file for each e-mail
//! would cost a file system more than the order costs the databases.

use chrono::{DateTime, Utc};
use std::fs::OpenOptions;
use std::io::{self, Write};
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

/// Appends entries to today's file. Replicas share the folder: what is written at once stays together. After an error, or a
/// crash, some of them may be there, the last one in part, and are there again when it is done again.
pub(super) fn append(folder: &Path, entries: &[String]) -> io::Result<()> {
    let path = folder.join(format!("{}.mbox", Utc::now().format("%Y-%m-%d")));
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // Ends what somebody has left in the middle of a line.
    let begin = if file.metadata()?.len() > 0 { "\n" } else { "" };
    file.write_all([begin, &entries.concat()].concat().as_bytes())
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
        let path = std::fs::read_dir(&folder)?.next().ok_or_else(|| io::Error::other("no file"))??.path();
        assert_eq!(std::fs::read_to_string(path)?, "From a\nhalf a li\nFrom b\n\nFrom c\n\n");
        std::fs::remove_dir_all(folder)
    }
}
