//! Canonical XML 1.0 (W3C, without comments) of one element, as XML signatures are made over.

use roxmltree::Node;
use std::collections::BTreeMap;

/// The element as Canonical XML. `inherit`: as part of its document, with every namespace that is in scope
/// (inclusive canonicalization); else as a document of its own with those that are declared on it.
pub fn canonical(node: Node<'_, '_>, inherit: bool) -> String {
    let mut out = String::new();
    let mut rendered = BTreeMap::new();
    if !inherit {
        // What the ancestors declare counts as written already.
        for space in node.parent_element().iter().flat_map(|p| p.namespaces()) {
            rendered.insert(space.name().unwrap_or_default(), space.uri());
        }
    }
    element(node, &rendered, &mut out, 0);
    out
}

/// Deeper documents are not PlayReady's.
const MAX_DEPTH: usize = 64;

fn element<'a>(node: Node<'a, '_>, rendered: &BTreeMap<&'a str, &'a str>, out: &mut String, depth: usize) {
    let source = node.document().input_text();
    // The tree does not keep prefixes; the text does.
    let name = source
        .get(node.range())
        .and_then(|text| text.strip_prefix('<'))
        .map(|text| {
            text.split(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
                .next()
        })
        .and_then(|name| name)
        .unwrap_or_default();
    out.push('<');
    out.push_str(name);
    let mut scope = rendered.clone();
    let mut spaces = BTreeMap::new();
    for space in node.namespaces() {
        let prefix = space.name().unwrap_or_default();
        if prefix != "xml" && rendered.get(prefix).copied().unwrap_or_default() != space.uri() {
            spaces.insert(prefix, space.uri());
        }
        scope.insert(prefix, space.uri());
    }
    for (prefix, uri) in spaces {
        out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        out.push_str(prefix);
        out.push_str("=\"");
        escape(uri, true, out);
        out.push('"');
    }
    let mut attributes: Vec<_> = node.attributes().collect();
    attributes.sort_by_key(|a| (a.namespace().unwrap_or_default(), a.name()));
    for attribute in attributes {
        out.push(' ');
        out.push_str(source.get(attribute.range_qname()).unwrap_or_default());
        out.push_str("=\"");
        escape(attribute.value(), true, out);
        out.push('"');
    }
    out.push('>');
    for child in node.children() {
        if child.is_element() && depth < MAX_DEPTH {
            element(child, &scope, out, depth + 1);
        } else if child.is_text() {
            escape(child.text().unwrap_or_default(), false, out);
        } else if let Some(pi) = child.pi() {
            out.push_str("<?");
            out.push_str(pi.target);
            if let Some(value) = pi.value {
                out.push(' ');
                out.push_str(value);
            }
            out.push_str("?>");
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn escape(text: &str, attribute: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '\r' => out.push_str("&#xD;"),
            '>' if !attribute => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\t' if attribute => out.push_str("&#x9;"),
            '\n' if attribute => out.push_str("&#xA;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The start-tag example of Canonical XML 1.0, section 3.3, as far as it needs no DTD.
    #[test]
    fn the_recommendations_example_comes_out() {
        let text = r#"<doc>
   <e1   />
   <e2   ></e2>
   <e3   name = "elem3"   id="elem3"   />
   <e4   name="elem4"   id="elem4"   ></e4>
   <e5 a:attr="out" b:attr="sorted" attr2="all" attr="I'm"
      xmlns:b="http://www.ietf.org"
      xmlns:a="http://www.w3.org"
      xmlns="http://example.org"/>
   <e6 xmlns="" xmlns:a="http://www.w3.org">
      <e7 xmlns="http://www.ietf.org">
         <e8 xmlns="" xmlns:a="http://www.w3.org">
            <e9 xmlns="" xmlns:a="http://www.ietf.org"/>
         </e8>
      </e7>
   </e6>
</doc>"#;
        let expected = r#"<doc>
   <e1></e1>
   <e2></e2>
   <e3 id="elem3" name="elem3"></e3>
   <e4 id="elem4" name="elem4"></e4>
   <e5 xmlns="http://example.org" xmlns:a="http://www.w3.org" xmlns:b="http://www.ietf.org" attr="I'm" attr2="all" b:attr="sorted" a:attr="out"></e5>
   <e6 xmlns:a="http://www.w3.org">
      <e7 xmlns="http://www.ietf.org">
         <e8 xmlns="">
            <e9 xmlns:a="http://www.ietf.org"></e9>
         </e8>
      </e7>
   </e6>
</doc>"#;
        let document = roxmltree::Document::parse(text).unwrap();
        assert_eq!(canonical(document.root_element(), true), expected);
    }

    #[test]
    fn what_ancestors_declare_is_inherited_or_left_out() {
        let text = r#"<s:E xmlns:s="urn:s" xmlns="urn:d"><R a="1&#10;&lt;"><T>x &gt; y</T></R></s:E>"#;
        let document = roxmltree::Document::parse(text).unwrap();
        let r = document.root_element().first_element_child().unwrap();
        assert_eq!(
            canonical(r, true),
            "<R xmlns=\"urn:d\" xmlns:s=\"urn:s\" a=\"1&#xA;&lt;\"><T>x &gt; y</T></R>"
        );
        assert_eq!(canonical(r, false), "<R a=\"1&#xA;&lt;\"><T>x &gt; y</T></R>");
    }
}
