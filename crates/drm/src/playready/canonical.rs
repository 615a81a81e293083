//! Canonical XML 1.0 (W3C, without comments) of one element, as XML signatures are made over.

use roxmltree::Node;
use std::collections::BTreeMap;

/// Which namespaces are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// All that are in scope (Canonical XML 1.0).
    Inclusive,
    /// Those that are used (Exclusive XML Canonicalization 1.0).
    Exclusive,
}

/// The element as Canonical XML.
pub fn canonical(node: Node<'_, '_>, form: Form) -> String {
    let mut out = String::new();
    element(node, form, &BTreeMap::new(), &mut out, 0);
    out
}

/// Deeper documents are not PlayReady's.
const MAX_DEPTH: usize = 64;

/// The prefix of a qualified name.
fn prefix(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}

fn element<'a>(
    node: Node<'a, '_>,
    form: Form,
    rendered: &BTreeMap<&'a str, &'a str>,
    out: &mut String,
    depth: usize,
) {
    let source = node.document().input_text();
    // The tree does not keep prefixes; the text does.
    let name = source
        .get(node.range())
        .and_then(|text| text.strip_prefix('<'))
        .and_then(|text| {
            text.split(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
                .next()
        })
        .unwrap_or_default();
    out.push('<');
    out.push_str(name);
    let qualified =
        |a: &roxmltree::Attribute<'_, '_>| source.get(a.range_qname()).unwrap_or_default().to_owned();
    let mut used: Vec<String> = vec![prefix(name).to_owned()];
    // An attribute without a prefix is in no namespace.
    let names = node.attributes().map(|a| qualified(&a));
    used.extend(names.filter(|n| n.contains(':')).map(|n| prefix(&n).to_owned()));
    let mut scope = rendered.clone();
    let mut spaces = BTreeMap::new();
    let mut declared: Vec<(&str, &str)> = node
        .namespaces()
        .map(|s| (s.name().unwrap_or_default(), s.uri()))
        .collect();
    // A default namespace that ends here is written as empty.
    if !declared.iter().any(|(p, _)| p.is_empty()) {
        declared.push(("", ""));
    }
    for (prefix, uri) in declared {
        let wanted = form == Form::Inclusive || used.iter().any(|u| u == prefix);
        if prefix != "xml" && wanted && rendered.get(prefix).copied().unwrap_or_default() != uri {
            spaces.insert(prefix, uri);
            scope.insert(prefix, uri);
        }
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
            element(child, form, &scope, out, depth + 1);
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
        assert_eq!(canonical(document.root_element(), Form::Inclusive), expected);
    }

    /// The example of Exclusive XML Canonicalization 1.0, section 2.2.
    #[test]
    fn an_element_leaves_its_document_with_what_it_uses() {
        let text = r#"<n0:local xmlns:n0="foo:bar" xmlns:n3="ftp://example.org"><n1:elem2 xmlns:n1="http://example.net" xml:lang="en"><n3:stuff xmlns:n3="ftp://example.org"/></n1:elem2></n0:local>"#;
        let document = roxmltree::Document::parse(text).unwrap();
        let element = document.root_element().first_element_child().unwrap();
        assert_eq!(
            canonical(element, Form::Exclusive),
            r#"<n1:elem2 xmlns:n1="http://example.net" xml:lang="en"><n3:stuff xmlns:n3="ftp://example.org"></n3:stuff></n1:elem2>"#
        );
        assert_eq!(
            canonical(element, Form::Inclusive),
            r#"<n1:elem2 xmlns:n0="foo:bar" xmlns:n1="http://example.net" xmlns:n3="ftp://example.org" xml:lang="en"><n3:stuff></n3:stuff></n1:elem2>"#
        );
    }

    #[test]
    fn texts_and_values_are_escaped() {
        let text = r#"<s:E xmlns:s="urn:s" xmlns="urn:d"><R a="1&#10;&lt;"><T>x &gt; y</T></R></s:E>"#;
        let document = roxmltree::Document::parse(text).unwrap();
        let r = document.root_element().first_element_child().unwrap();
        assert_eq!(
            canonical(r, Form::Inclusive),
            "<R xmlns=\"urn:d\" xmlns:s=\"urn:s\" a=\"1&#xA;&lt;\"><T>x &gt; y</T></R>"
        );
        assert_eq!(
            canonical(r, Form::Exclusive),
            "<R xmlns=\"urn:d\" a=\"1&#xA;&lt;\"><T>x &gt; y</T></R>"
        );
    }
}
