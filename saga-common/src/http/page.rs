//! Lists that are read page by page.

use super::problem::{Problem, Reply};
use serde::Deserialize;
use utoipa::IntoParams;

const LONGEST_CURSOR: usize = 100;

/// Which page of a list. A page begins behind the last row of the page before, so rows that come or go meanwhile neither shift
/// nor repeat others.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// At most so many.
    #[param(default = 50, minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 100)]
    cursor: Option<String>,
}

impl Page {
    /// The most rows of a page.
    pub const MOST: i64 = 100;

    /// How many rows to read: one more than is shown, to see whether there are more. See [`Page::cut`].
    ///
    /// # Errors
    /// 400 for a limit that is none.
    pub fn rows(&self) -> Reply<i64> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=Self::MOST => Ok(limit + 1),
            _ => Err(Problem::new(400, format!("limit must be 1 to {}", Self::MOST))),
        }
    }

    /// Where the page before ended, if there was one.
    ///
    /// # Errors
    /// 400 for a cursor that cannot be read so.
    pub fn behind<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Reply<Option<T>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        read(cursor).map(Some).ok_or_else(|| Problem::new(400, "cursor is none of ours"))
    }

    /// As [`Page::behind`], where the name of a row is a text.
    ///
    /// # Errors
    /// As [`Page::behind`].
    pub fn behind_text(&self) -> Reply<String> {
        // PostgreSQL takes no NUL in a text; nothing sorts before the empty one.
        let behind =
            self.behind(|text| (text.len() <= LONGEST_CURSOR && !text.contains('\0')).then(|| text.to_owned()));
        behind.map(Option::unwrap_or_default)
    }

    /// Takes the row too many away; if it was there, the last row's name is where the next page begins.
    ///
    /// # Errors
    /// As [`Page::rows`].
    pub fn cut<T>(&self, rows: &mut Vec<T>, name: impl FnOnce(&T) -> String) -> Reply<Option<String>> {
        let shown = usize::try_from(self.rows()? - 1).unwrap_or(usize::MAX);
        if rows.len() <= shown {
            return Ok(None);
        }
        rows.truncate(shown);
        Ok(rows.last().map(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_next_page_only_if_a_row_is_left_for_it() {
        let page = Page { limit: Some(2), cursor: None };
        assert_eq!(page.rows().ok(), Some(3));
        let cut = |mut rows: Vec<i32>| page.cut(&mut rows, i32::to_string).ok().map(|next| (rows, next));
        assert_eq!(cut(vec![1, 2]), Some((vec![1, 2], None)));
        assert_eq!(cut(vec![1, 2, 3]), Some((vec![1, 2], Some("2".to_owned()))));
    }

    #[test]
    fn a_limit_or_a_cursor_that_is_none_is_refused() {
        for limit in [0, -1, 101, i64::MIN, i64::MAX] {
            assert!(Page { limit: Some(limit), cursor: None }.rows().is_err(), "{limit}");
        }
        let page = Page { limit: None, cursor: Some("x".to_owned()) };
        assert!(page.behind(|text| text.parse::<i64>().ok()).is_err());
        assert!(matches!(Page::default().behind(|text| text.parse::<i64>().ok()), Ok(None)));
    }
}
