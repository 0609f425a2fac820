//! What a page of the documentation says to type, and what it says is printed.

/// A command, where it is typed, and what is shown of its output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// For whoever looks for it.
    pub(crate) line: usize,
    pub(crate) place: Place,
    pub(crate) text: String,
    /// Lines that are printed: `...` alone stands for any number of lines, within a line for any text.
    pub(crate) shown: Vec<String>,
}

/// Where a command is typed: the words after `console`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the terminal of the page.
    Here,
    /// `in another terminal`: it goes on until the page ends.
    Beside,
    /// `elsewhere`: on other machines, or for hours. It is not executed.
    Elsewhere,
}

/// All commands of a page, in order.
///
/// # Errors
/// Of a block that looks like commands and is none that can be executed.
pub(crate) fn commands(text: &str) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    let mut block: Option<Option<Place>> = None;
    let mut continued = false;
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(info) = text.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(place(line, info)?) };
            continued = false;
            continue;
        }
        let Some(Some(place)) = block else { continue };
        if continued && let Some(command) = commands.last_mut() {
            command.text.push('\n');
            command.text.push_str(text);
            continued = text.ends_with('\\');
        } else if let Some(typed) = text.strip_prefix("$ ") {
            continued = typed.ends_with('\\');
            commands.push(Command { line, place, text: typed.to_owned(), shown: Vec::new() });
        } else if let Some(command) = commands.last_mut().filter(|_| text != "```") {
            command.shown.push(text.to_owned());
        } else {
            return Err(format!("line {line}: output without a command"));
        }
    }
    Ok(commands)
}

fn place(line: usize, info: &str) -> Result<Option<Place>, String> {
    match info.trim() {
        "console" => Ok(Some(Place::Here)),
        "console in another terminal" => Ok(Some(Place::Beside)),
        "console elsewhere" => Ok(Some(Place::Elsewhere)),
        odd if odd.starts_with("console") || ["sh", "bash", "shell"].contains(&odd) => {
            Err(format!("line {line}: say `console`, and put `$ ` before each command, so that it is tested: `{odd}`"))
        }
        _ => Ok(None),
    }
}

/// Is this what the page shows?
pub(crate) fn matches(shown: &[String], printed: &[String]) -> bool {
    let (shown, printed) = (words(shown), words(printed));
    lines_match(&shown, &printed)
}

/// The lines that say something, with single blanks, and without what is another each time.
fn words(lines: &[String]) -> Vec<String> {
    let words = |line: &String| line.split_whitespace().map(masked).collect::<Vec<_>>().join(" ");
    lines.iter().map(words).filter(|line| !line.is_empty()).collect()
}

/// Ids and times are others each time: what has the form of one stands for all of them.
fn masked(word: &str) -> String {
    let pieces = word.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-:.".contains(c)));
    pieces
        .map(|piece| {
            let end = piece.len()
                - piece.chars().next_back().filter(|c| !c.is_ascii_alphanumeric()).map_or(0, char::len_utf8);
            let (value, rest) = piece.split_at(end);
            let dashes = value.bytes().filter(|byte| *byte == b'-').count();
            let is_id =
                value.len() == 36 && dashes == 4 && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            let is_time = value.len() >= 19 && value.contains('T') && value.contains(':') && dashes == 2;
            if is_id || is_time { format!("<>{rest}") } else { piece.to_owned() }
        })
        .collect()
}

fn lines_match(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((dots, rest)) if dots == "..." => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((line, rest)) => {
            printed.first().is_some_and(|it| line_matches(line, it)) && lines_match(rest, &printed[1..])
        }
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let Some((before, after)) = shown.split_once("...") else { return shown == printed };
    let Some(rest) = printed.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| line_matches(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn commands_are_read_with_their_output_and_prose_is_not() {
        let page = "Prose.\n```console\n$ one \\\n  more\nout\n\n$ two\n```\n$ prose\n```json\n$ no\n```\n```console elsewhere\n$ far\n```\n";
        let found = commands(page).expect("readable");
        let texts: Vec<_> = found.iter().map(|it| (it.line, it.text.as_str(), it.place)).collect();
        assert_eq!(texts, [(3, "one \\\n  more", Place::Here), (7, "two", Place::Here), (14, "far", Place::Elsewhere)]);
        assert_eq!(found[0].shown, ["out", ""]);
    }

    #[test]
    fn a_block_of_commands_that_would_not_be_tested_is_refused() {
        for info in ["sh", "bash", "console somewhere"] {
            assert!(commands(&format!("```{info}\n$ x\n```\n")).is_err(), "{info}");
        }
        assert!(commands("```console\nout\n```\n").is_err());
    }

    #[test]
    fn what_is_another_each_time_is_left_out_of_the_comparison_and_nothing_else() {
        let shown = lines("order  01a20151-a432-72fc-b796-e800caba4f39\n...\nstatus confirmed, ... EUR");
        assert!(matches(
            &shown,
            &lines("order 01ffffff-a432-72fc-b796-e800caba4fff\na\nb\n\nstatus   confirmed, 18.00 EUR")
        ));
        assert!(!matches(&shown, &lines("order 01a20151-a432-72fc-b796-e800caba4f39\nstatus cancelled, 18.00 EUR")));
        assert!(!matches(&shown, &lines("order 17\nstatus confirmed, 18.00 EUR")));
        assert!(matches(
            &lines("{\"at\":\"2026-11-21T23:39:08Z\",\"n\":1}"),
            &lines("{\"at\":\"2027-01-01T00:00:00.123Z\",\"n\":1}")
        ));
        assert!(!matches(&lines("{\"n\":1}"), &lines("{\"n\":2}")));
        assert!(!matches(&[], &lines("more")));
    }
}
