//! A small XML tree with bounds: an answer comes from a machine that may be broken or hostile. Document types are refused, depth and
//! number of elements are bounded, and the text's length is bounded by that of the answer. Elements are found by local
//! name: servers choose prefixes as they like, and no two elements here differ by namespace alone.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

const DEEPEST: usize = 48;
const MOST_ELEMENTS: usize = 20_000;
const MOST_ATTRIBUTES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Element {
    pub name: String,
    attributes: Vec<(String, String)>,
    /// The text directly within, pieces joined.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// This element and everything below it, depth first.
    pub fn walk(&self, visit: &mut impl FnMut(&Element)) {
        visit(self);
        for child in &self.children {
            child.walk(visit);
        }
    }

    /// All text in it, elements' texts separated by a space.
    pub fn flat(&self) -> String {
        let mut words = Vec::new();
        self.walk(&mut |element| {
            let text = element.text.trim();
            if !text.is_empty() {
                words.push(text.to_owned());
            }
        });
        words.join(" ")
    }
}

/// Reads a document's root element.
pub(super) fn parse(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|error| format!("not well-formed: {error}"))?;
        let done = match event {
            Event::Start(start) => {
                elements += 1;
                if open.len() >= DEEPEST || elements > MOST_ELEMENTS {
                    return Err("too deep or too many elements".to_owned());
                }
                open.push(element(&start)?);
                None
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > MOST_ELEMENTS {
                    return Err("too many elements".to_owned());
                }
                close(&mut open, element(&start)?)
            }
            Event::End(_) => {
                let ended = open.pop().ok_or("an end without a start")?;
                close(&mut open, ended)
            }
            Event::Text(piece) => append(&mut open, &piece.xml10_content()),
            Event::CData(piece) => append(&mut open, &piece.xml10_content()),
            Event::GeneralRef(reference) => {
                let name = reference.into_inner();
                let text =
                    unescape(&format!("&{name};")).map_err(|error| format!("a reference: {error}"))?.into_owned();
                append(&mut open, &text)
            }
            Event::DocType(_) => return Err("a document type is not allowed".to_owned()),
            Event::Eof => return Err("it ends too early".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
        };
        if let Some(root) = done {
            return Ok(root);
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes().take(MOST_ATTRIBUTES) {
        let attribute = attribute.map_err(|error| format!("an attribute: {error}"))?;
        let value = unescape(&attribute.value).map_err(|error| format!("an attribute's value: {error}"))?;
        attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element { name: start.local_name().as_ref().to_owned(), attributes, ..Element::default() })
}

/// Hangs the finished element below the open one, or gives it back where it was the root.
fn close(open: &mut [Element], ended: Element) -> Option<Element> {
    match open.last_mut() {
        Some(parent) => {
            parent.children.push(ended);
            None
        }
        None => Some(ended),
    }
}

fn append(open: &mut [Element], text: &str) -> Option<Element> {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
    None
}
