//! HTML and SVG, built so that no text can become markup. Tags and attribute names are constants of this program;
//! everything else is escaped.

use std::fmt::{self, Display, Write};

/// The attributes of an element.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// A document, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Html {
    text: String,
}

impl Html {
    /// Opens an element. Its contents follow, up to [`Self::close`].
    pub(super) fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.text.push('<');
        self.text.push_str(tag);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            // Writing to a String never fails.
            let _ = write!(Escaping(&mut self.text), "{value}");
            self.text.push('"');
        }
        self.text.push('>');
    }

    pub(super) fn close(&mut self, tag: &'static str) {
        self.text.push_str("</");
        self.text.push_str(tag);
        self.text.push('>');
        // White space has no meaning here; the line break makes the source readable.
        if matches!(
            tag,
            "section" | "table" | "tr" | "svg" | "g" | "head" | "details" | "style"
        ) {
            self.text.push('\n');
        }
    }

    /// Writes an element that holds only text.
    pub(super) fn leaf(
        &mut self,
        tag: &'static str,
        attributes: Attributes<'_>,
        text: impl Display,
    ) {
        self.open(tag, attributes);
        self.text(text);
        self.close(tag);
    }

    /// Writes an element without contents.
    pub(super) fn empty(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.open(tag, attributes);
        self.close(tag);
    }

    pub(super) fn text(&mut self, text: impl Display) {
        let _ = write!(Escaping(&mut self.text), "{text}");
    }

    /// Writes markup of this program itself, such as its style.
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.text.push_str(markup);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Escapes text for use between tags and in attributes.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // HTML cannot represent this character.
                '\0' => self.0.push('\u{fffd}'),
                character => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let hostile = "</script><script>alert('1')</script> & \"x\" \0";
        let mut html = Html::default();
        html.open("p", &[("title", &hostile), ("data-n", &7)]);
        html.text(hostile);
        html.close("p");
        let escaped = "&lt;/script&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; \
                       &quot;x&quot; \u{fffd}";
        let want = format!("<p title=\"{escaped}\" data-n=\"7\">{escaped}</p>");
        assert_eq!(html.into_text(), want);
    }
}
