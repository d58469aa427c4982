//! CLIXML to values.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::super::{Limits, ProtocolError};
use super::budget::{Budget, Weight};
use super::escape::decode;
use super::{Base, Object, Value, primitive};

/// Reads one value: UTF-8, with or without a byte order mark.
///
/// A reference to an object that is complete becomes a copy of it; one to an object that it is part of (a parent that its
/// child points back to) becomes [`Value::Null`], for a tree has no other place for it.
///
/// # Errors
/// Not UTF-8, not XML, not CLIXML, or more than `limits` let through.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Value, ProtocolError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
    let mut reader = Reader::new(text, limits)?;
    let Some(root) = reader.root()? else { return Err(wrong("there is no element")) };
    let value = reader.value(&root, 0)?;
    match reader.root()? {
        None => Ok(value),
        Some(_) => Err(wrong("there is more than one value")),
    }
}

struct Reader<'a> {
    xml: quick_xml::Reader<&'a [u8]>,
    budget: Budget,
    /// Ids that some Ref names: only those objects are kept a second time.
    wanted: HashSet<&'a str>,
    kept: HashMap<String, (Value, Weight)>,
    /// Ids of the objects being read, the outermost first.
    open: Vec<String>,
    types: HashMap<String, Arc<[String]>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, limits: &Limits) -> Result<Self, ProtocolError> {
        let mut xml = quick_xml::Reader::from_str(text);
        let config = xml.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = true;
        Ok(Self {
            xml,
            budget: Budget::new(limits, text.len()),
            wanted: wanted(text, limits)?,
            kept: HashMap::new(),
            open: Vec::new(),
            types: HashMap::new(),
        })
    }

    /// The next element outside of all others; `None` at the end.
    fn root(&mut self) -> Result<Option<BytesStart<'a>>, ProtocolError> {
        loop {
            match self.event()? {
                Event::Start(start) => {
                    self.budget.node()?;
                    return Ok(Some(start));
                }
                Event::Eof => return Ok(None),
                other => blank(&other)?,
            }
        }
    }

    /// The next element within the current one; `None`: the current one ends here.
    fn child(&mut self) -> Result<Option<BytesStart<'a>>, ProtocolError> {
        loop {
            match self.event()? {
                Event::Start(start) => {
                    self.budget.node()?;
                    return Ok(Some(start));
                }
                Event::End(_) => return Ok(None),
                other => blank(&other)?,
            }
        }
    }

    fn event(&mut self) -> Result<Event<'a>, ProtocolError> {
        let at = self.xml.buffer_position();
        self.xml.read_event().map_err(|_| wrong(&format!("it is not well-formed XML after byte {at}")))
    }

    /// The current element's text, up to its end.
    fn text(&mut self) -> Result<String, ProtocolError> {
        let mut out = String::new();
        loop {
            let event = self.event()?;
            match &event {
                Event::End(_) => return Ok(out),
                Event::Text(text) => {
                    self.budget.text(text.len())?;
                    out.push_str(&text.xml10_content());
                }
                Event::CData(text) => {
                    self.budget.text(text.len())?;
                    out.push_str(&text.xml10_content());
                }
                Event::GeneralRef(reference) => {
                    self.budget.text(4)?;
                    let char = match reference.resolve_char_ref() {
                        Ok(Some(char)) => char,
                        Ok(None) => {
                            entity(reference).ok_or_else(|| wrong("it uses an entity that XML does not have"))?
                        }
                        Err(_) => return Err(wrong("it uses a character that does not exist")),
                    };
                    out.push(char);
                }
                Event::Comment(_) | Event::PI(_) => {}
                _ => return Err(wrong("there is an element where text belongs")),
            }
        }
    }

    /// Reads over the current element, which is expected to be empty.
    fn nothing(&mut self) -> Result<(), ProtocolError> {
        match self.child()? {
            None => Ok(()),
            Some(_) => Err(wrong("there is an element within one that is empty")),
        }
    }

    fn value(&mut self, start: &BytesStart<'a>, depth: usize) -> Result<Value, ProtocolError> {
        self.budget.depth(depth)?;
        match start.local_name().as_ref() {
            "Obj" => self.object(start, depth),
            "Ref" => self.reference(start),
            "PR" => self.progress(),
            name if primitive::is_primitive(name) => {
                let text = self.text()?;
                primitive::read(name, &text)
            }
            _ => Err(wrong("there is an element where a value belongs")),
        }
    }

    fn reference(&mut self, start: &BytesStart<'a>) -> Result<Value, ProtocolError> {
        let id = attribute(start, "RefId")?.ok_or_else(|| wrong("a Ref names no RefId"))?;
        self.nothing()?;
        if let Some((value, weight)) = self.kept.get(&id) {
            self.budget.charge(*weight)?;
            return Ok(value.clone());
        }
        if self.open.contains(&id) {
            return Ok(Value::Null);
        }
        Err(wrong("a Ref names an object that has not been there"))
    }

    fn object(&mut self, start: &BytesStart<'a>, depth: usize) -> Result<Value, ProtocolError> {
        let before = self.budget;
        let id = attribute(start, "RefId")?.filter(|id| self.wanted.contains(id.as_str()));
        let opened = id.is_some();
        self.open.extend(id);
        let mut object = Object::default();
        while let Some(part) = self.child()? {
            self.part(&mut object, &part, depth)?;
        }
        let value = simple(object);
        if opened && let Some(id) = self.open.pop() {
            let weight = self.budget.since(&before);
            self.budget.charge(weight)?;
            self.kept.insert(id, (value.clone(), weight));
        }
        Ok(value)
    }

    fn part(&mut self, object: &mut Object, part: &BytesStart<'a>, depth: usize) -> Result<(), ProtocolError> {
        match part.local_name().as_ref() {
            "TN" => object.type_names = self.type_names(part)?,
            "TNRef" => {
                let id = attribute(part, "RefId")?.ok_or_else(|| wrong("a TNRef names no RefId"))?;
                self.nothing()?;
                let names = self.types.get(&id).ok_or_else(|| wrong("a TNRef names types that have not been there"))?;
                object.type_names = Arc::clone(names);
            }
            "ToString" => object.to_string = Some(decode(&self.text()?).into_owned()),
            "Props" => self.properties(&mut object.adapted, depth)?,
            "MS" => self.properties(&mut object.extended, depth)?,
            name => {
                if object.base != Base::None {
                    return Err(wrong("an object has two contents"));
                }
                object.base = match name {
                    "LST" => Base::List(self.items(depth)?),
                    "STK" => Base::Stack(self.items(depth)?),
                    "QUE" => Base::Queue(self.items(depth)?),
                    "IE" => Base::Enumerable(self.items(depth)?),
                    "DCT" => Base::Dict(self.entries(depth)?),
                    _ if primitive::is_primitive(name) => Base::Primitive(self.value(part, depth + 1)?),
                    _ => return Err(wrong("there is something else in an object")),
                };
            }
        }
        Ok(())
    }

    fn type_names(&mut self, start: &BytesStart<'a>) -> Result<Arc<[String]>, ProtocolError> {
        let mut names = Vec::new();
        while let Some(element) = self.child()? {
            if element.local_name().as_ref() != "T" {
                return Err(wrong("there is something else among type names"));
            }
            names.push(decode(&self.text()?).into_owned());
        }
        let names: Arc<[String]> = names.into();
        if let Some(id) = attribute(start, "RefId")? {
            self.types.insert(id, Arc::clone(&names));
        }
        Ok(names)
    }

    fn properties(&mut self, into: &mut Vec<(String, Value)>, depth: usize) -> Result<(), ProtocolError> {
        while let Some(element) = self.child()? {
            let name = attribute(&element, "N")?.ok_or_else(|| wrong("a property has no name"))?;
            self.budget.text(name.len())?;
            let value = self.value(&element, depth + 1)?;
            into.push((decode(&name).into_owned(), value));
        }
        Ok(())
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Value>, ProtocolError> {
        let mut items = Vec::new();
        while let Some(element) = self.child()? {
            items.push(self.value(&element, depth + 1)?);
        }
        Ok(items)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Value, Value)>, ProtocolError> {
        let mut entries = Vec::new();
        while let Some(element) = self.child()? {
            if element.local_name().as_ref() != "En" {
                return Err(wrong("there is something else among a dictionary's entries"));
            }
            let (mut key, mut value) = (None, None);
            while let Some(half) = self.child()? {
                let place = match attribute(&half, "N")?.as_deref() {
                    Some("Key") => &mut key,
                    Some("Value") => &mut value,
                    _ => return Err(wrong("half of a dictionary's entry is neither key nor value")),
                };
                *place = Some(self.value(&half, depth + 1)?);
            }
            let (Some(key), Some(value)) = (key, value) else {
                return Err(wrong("a dictionary's entry lacks its key or its value"));
            };
            entries.push((key, value));
        }
        Ok(entries)
    }

    /// Progress within another value has an element of its own (MS-PSRP 2.2.5.1.26).
    fn progress(&mut self) -> Result<Value, ProtocolError> {
        let mut object = Object::default().typed(&["System.Management.Automation.ProgressRecord", "System.Object"]);
        while let Some(part) = self.child()? {
            let text = self.text()?;
            let (name, element) = match part.local_name().as_ref() {
                "AV" => ("Activity", "S"),
                "AI" => ("ActivityId", "I32"),
                "S" => ("CurrentOperation", "S"),
                "Nil" => ("CurrentOperation", "Nil"),
                "PI" => ("ParentActivityId", "I32"),
                "PC" => ("PercentComplete", "I32"),
                "T" => ("Type", "S"),
                "SR" => ("SecondsRemaining", "I32"),
                "SD" => ("StatusDescription", "S"),
                _ => return Err(wrong("there is something else in a progress record")),
            };
            object.adapted.push((name.to_owned(), primitive::read(element, &text)?));
        }
        Ok(Value::from(object))
    }
}

/// What carries no meaning between elements.
fn blank(event: &Event<'_>) -> Result<(), ProtocolError> {
    match event {
        Event::Decl(_) | Event::Comment(_) | Event::PI(_) => Ok(()),
        Event::Text(text) if text.trim_ascii().is_empty() => Ok(()),
        Event::Eof => Err(wrong("it ends within an element")),
        Event::DocType(_) => Err(wrong("it has a document type, which CLIXML has not")),
        _ => Err(wrong("there is text where an element belongs")),
    }
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, ProtocolError> {
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| wrong("an attribute is malformed"))?;
        if attribute.key.local_name().as_ref() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            return Ok(Some(value.map_err(|_| wrong("an attribute is malformed"))?.into_owned()));
        }
    }
    Ok(None)
}

/// Every id that a `<Ref …>` in the text names. Text that only looks like one costs a copy, nothing more.
fn wanted<'a>(text: &'a str, limits: &Limits) -> Result<HashSet<&'a str>, ProtocolError> {
    let mut ids = HashSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("<Ref") {
        rest = &rest[at + "<Ref".len()..];
        // A tag has no `<` in it: text of nothing but beginnings is gone over once, not once for each.
        let tag = &rest[..rest.find(['<', '>']).unwrap_or(rest.len())];
        if let Some((_, value)) = tag.split_once("RefId")
            && let Some(id) = value.split(['"', '\'']).nth(1)
        {
            ids.insert(id);
        }
        if ids.len() > limits.nodes {
            return Err(ProtocolError::TooMuch(format!("references to more than {} objects", limits.nodes)));
        }
    }
    Ok(ids)
}

/// A list or dictionary of the plain kinds is only that.
fn simple(object: Object) -> Value {
    const LISTS: [&str; 3] = ["", "System.Object[]", "System.Collections.ArrayList"];
    const DICTIONARIES: [&str; 2] = ["", "System.Collections.Hashtable"];
    if !object.adapted.is_empty() || !object.extended.is_empty() || object.to_string.is_some() {
        return Value::from(object);
    }
    let (list, dictionary) = (LISTS.contains(&object.type_name()), DICTIONARIES.contains(&object.type_name()));
    match object.base {
        Base::List(items) if list => Value::List(items),
        Base::Dict(entries) if dictionary => Value::Dict(entries),
        base => Value::from(Object { base, ..object }),
    }
}

fn wrong(why: &str) -> ProtocolError {
    ProtocolError::Clixml(why.to_owned())
}
