//! Where a customer's e-mail goes. Pure. Whatever a customer is called, the address is one line of plain ASCII, and no two
//! customers share one.

use lettre::Address;
use lettre::address::AddressError;
use uuid::Uuid;

/// No mail server has to take a longer name before the `@` (RFC 5321).
const LONGEST_NAME: usize = 64;
/// As much of a longer name as is kept beside what makes it unique.
const KEPT: usize = 24;

/// A customer who is called like an address has that one; others have one at `domain`.
pub(super) fn of_customer(customer_id: &str, domain: &str) -> Result<Address, AddressError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    // An address at our own domain is somebody else's who is called so.
    let at_ours = customer_id.rsplit_once('@').is_some_and(|(_, host)| host.eq_ignore_ascii_case(domain));
    if customer_id.contains('@')
        && !at_ours
        && customer_id.chars().all(plain)
        && let Ok(address) = customer_id.parse()
    {
        return Ok(address);
    }
    Address::new(name(customer_id), domain)
}

/// Letters, digits, `_`, `-` and inner dots as they are; every other byte as `=` and two hexadecimal digits.
fn name(customer_id: &str) -> String {
    let bytes = customer_id.as_bytes();
    let mut name = String::new();
    for (n, byte) in bytes.iter().enumerate() {
        let inner_dot = *byte == b'.' && n > 0 && n + 1 < bytes.len() && bytes[n - 1] != b'.';
        if byte.is_ascii_alphanumeric() || b"_-".contains(byte) || inner_dot {
            name.push(char::from(*byte));
        } else {
            name.push_str(&format!("={byte:02x}"));
        }
    }
    match name.len() {
        0 => "=".to_owned(),
        1..=LONGEST_NAME => name,
        _ => format!("{}=={}", &name[..KEPT].trim_end_matches('.'), Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes).simple()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn of(customer_id: &str) -> String {
        of_customer(customer_id, "customers.example").expect(customer_id).to_string()
    }

    #[test]
    fn a_customer_called_like_an_address_has_it_and_others_one_at_the_domain() {
        assert_eq!(of("anna@example.org"), "anna@example.org");
        assert_eq!(of("anna"), "anna@customers.example");
        assert_eq!(of("poor-paula"), "poor-paula@customers.example");
        assert_eq!(of("a.b"), "a.b@customers.example");
    }

    #[test]
    fn no_name_gets_out_of_its_place() {
        let long = "x".repeat(100);
        let dots = ".".repeat(100);
        let names = [
            "anna\r\nBcc: all@example.org",
            "anna\nX: y",
            "\"anna\"@example.org",
            "anna <a@b.example>",
            "a@b@c",
            "@",
            "",
            ".",
            "..a",
            "a..b",
            "a.",
            "änna",
            "anna\u{2028}x",
            "anna\0",
            "a,b@example.org",
            "a b",
            "a=20b",
            &long,
            &dots,
            "anna@",
            "=",
            "a@example.org\r\nRCPT TO:<x@y.example>",
            "anna",
            "anna@customers.example",
            "anna@Customers.Example",
        ];
        let addresses: HashSet<String> = names.iter().map(|name| of(name)).collect();
        assert_eq!(addresses.len(), names.len(), "two customers share an address: {addresses:?}");
        for address in addresses {
            assert!(address.chars().all(|c| c.is_ascii_graphic() && !"\"<>,;:()[]\\".contains(c)), "{address:?}");
            assert!(address.ends_with("@customers.example") && address.matches('@').count() == 1, "{address:?}");
            let name = address.split('@').next().unwrap_or_default();
            assert!(name.len() <= LONGEST_NAME && !name.starts_with('.') && !name.ends_with('.'), "{address:?}");
            assert!(!name.contains(".."), "{address:?}");
        }
    }
}
