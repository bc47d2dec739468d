//! Writing the XML of the Query APIs.

/// XML being written.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// A document: its declaration, then `root` with `namespace` around what `inside` writes.
    pub(super) fn document(root: &str, namespace: &str, inside: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self { text: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}") };
        if !namespace.is_empty() {
            xml.text.push_str(&format!(" xmlns=\"{namespace}\""));
        }
        xml.text.push('>');
        inside(&mut xml);
        xml.text.push_str(&format!("</{root}>"));
        xml.text
    }

    /// An element around what `inside` writes.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!("<{name}>"));
        inside(self);
        self.text.push_str(&format!("</{name}>"));
    }

    /// An element with a text.
    pub(super) fn text(&mut self, name: &str, value: impl ToString) {
        self.element(name, |xml| xml.escape(&value.to_string()));
    }

    /// An element with a text, where there is one.
    pub(super) fn option(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A list: `name` with an `item` for each of `items`.
    pub(super) fn items<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| each(xml, item));
            }
        });
    }

    /// A list of texts.
    pub(super) fn texts<T: AsRef<str>>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        self.items(name, items, |xml, item| xml.escape(item.as_ref()));
    }

    fn escape(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // XML 1.0 has no way to write these.
                '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => self.text.push('\u{fffd}'),
                c => self.text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_become_markup() {
        let xml = Xml::document("a", "", |xml| xml.text("b", "<c>&\"\u{1}</b>"));
        assert!(xml.ends_with("<a><b>&lt;c&gt;&amp;&quot;\u{fffd}&lt;/b&gt;</b></a>"), "{xml}");
    }
}
