//! What an e-mail says: a plain text from a template, and the same as simple HTML. Pure. The subject is the template's; nothing
//! that came with an event gets into a header, but for the address.

use super::{Mail, address};
use lettre::Message;
use lettre::message::{Mailbox, MultiPart};

/// An e-mail could not be put together.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritable {
    #[error("there is no address for the customer: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the e-mail cannot be put together: {0}")]
    Build(#[from] lettre::error::Error),
}

const FRAME: &str = include_str!("templates/frame.html");

/// The template of a kind of note: a subject, an empty line, the text.
fn template(kind: &str) -> &'static str {
    match kind {
        "confirmed" => include_str!("templates/confirmed.txt"),
        "cancelled" => include_str!("templates/cancelled.txt"),
        "shipped" => include_str!("templates/shipped.txt"),
        "delivered" => include_str!("templates/delivered.txt"),
        "returned" => include_str!("templates/returned.txt"),
        _ => "Subject: About your order\n\n{text}\n",
    }
}

/// The e-mail of a note. A repeated one is the same, its Message-ID and date included.
pub(super) fn write(mail: &Mail, from: &Mailbox, domain: &str) -> Result<Message, Unwritable> {
    let (subject, body) = template(&mail.kind).split_once("\n\n").unwrap_or_default();
    let subject = subject.trim_start_matches("Subject: ");
    let text = body.replace("{text}", &mail.text);
    let to = Mailbox::new(None, address::of_customer(&mail.customer_id, domain)?);
    let message = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(subject)
        .message_id(Some(format!("<{}@{}>", mail.message_id, from.email.domain())))
        .date(mail.created_at.into());
    Ok(message.multipart(MultiPart::alternative_plain_html(text.clone(), html(subject, &text, mail)))?)
}

fn html(subject: &str, text: &str, mail: &Mail) -> String {
    let paragraphs: Vec<String> = text.trim().split("\n\n").map(|it| format!("<p>{}</p>", escaped(it))).collect();
    // The text comes last: what it contains is not looked at for places to fill.
    let frame = FRAME.replace("{subject}", &escaped(subject)).replace("{order}", &mail.order_id.to_string());
    frame.replace("{paragraphs}", &paragraphs.join("\n"))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn mail(kind: &str, customer_id: &str, text: &str) -> Mail {
        let order_id = Uuid::from_u128(7);
        let (customer_id, kind, text) = (customer_id.to_owned(), kind.to_owned(), text.to_owned());
        Mail {
            message_id: Uuid::from_u128(9),
            attempt: 1,
            customer_id,
            order_id,
            kind,
            text,
            created_at: Default::default(),
        }
    }

    fn written(mail: &Mail) -> String {
        let from = "Shop <orders@shop.example>".parse().expect("a mailbox");
        let message = write(mail, &from, "customers.example").expect("an e-mail");
        String::from_utf8(message.formatted()).expect("ASCII")
    }

    #[test]
    fn every_kind_has_a_subject_a_text_and_the_same_as_html() {
        for kind in ["confirmed", "cancelled", "shipped", "delivered", "returned", "something new"] {
            let text = written(&mail(kind, "anna", "A sentence about it."));
            assert!(text.contains("\r\nMessage-ID: <00000000-0000-0000-0000-000000000009@shop.example>\r\n"), "{text}");
            assert!(
                text.contains("\r\nTo: anna@customers.example\r\n")
                    && text.contains("From: Shop <orders@shop.example>")
            );
            assert_eq!(text.matches("A sentence about it.").count(), 2, "{text}");
            assert!(text.contains("Subject: ") && text.contains("text/plain") && text.contains("text/html"), "{text}");
            assert!(!text.contains('{'), "a place was not filled: {text}");
        }
    }

    #[test]
    fn nothing_that_came_with_an_event_becomes_a_header_or_markup() {
        let evil = "no\r\nBcc: all@example.org\r\n\r\n<script>alert(1)</script> {order} & \"so\"";
        let text = written(&mail("cancelled", "anna\r\nBcc: all@example.org", evil));
        let headers = text.split("\r\n\r\n").next().unwrap_or_default();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        assert!(!html("s", evil, &mail("cancelled", "anna", evil)).contains("<script>"));
        assert!(
            html("s", evil, &mail("cancelled", "anna", evil)).contains("{order}"),
            "what is told is not a template"
        );
    }
}
