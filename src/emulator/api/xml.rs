//! Writes the XML of the Query APIs.

/// The XML namespace of EC2, version 2016-11-15.
pub(super) const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
/// The XML namespace of STS, version 2011-06-15.
pub(super) const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An XML writer.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// Returns a document: the declaration, then `root` with `namespace` and the content that `inside` writes.
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

    /// Writes an element with the content that `inside` writes.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!("<{name}>"));
        inside(self);
        self.text.push_str(&format!("</{name}>"));
    }

    /// Writes an element with a text.
    pub(super) fn text(&mut self, name: &str, value: impl ToString) {
        self.element(name, |xml| xml.escape(&value.to_string()));
    }

    /// Writes an element with a text, if there is one.
    pub(super) fn option(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Writes a list: `name` with an `item` for each of `items`.
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

    /// Writes a list of texts.
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
                // XML 1.0 cannot represent these.
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
    fn text_is_escaped() {
        let xml = Xml::document("a", "", |xml| xml.text("b", "<c>&\"\u{1}</b>"));
        assert!(xml.ends_with("<a><b>&lt;c&gt;&amp;&quot;\u{fffd}&lt;/b&gt;</b></a>"), "{xml}");
    }
}
