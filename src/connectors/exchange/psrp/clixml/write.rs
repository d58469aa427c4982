//! Values to CLIXML.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::ProtocolError;
use super::escape::encode;
use super::{Base, Object, Value, primitive};

/// Deeper than any server reads.
const DEPTH: usize = 64;

/// One value as CLIXML, without an XML declaration or a byte order mark, as clients send it.
///
/// [`Value::List`] travels as an ArrayList, [`Value::Dict`] as a Hashtable.
///
/// # Errors
/// The value is deeper than servers read.
pub fn write(value: &Value) -> Result<String, ProtocolError> {
    let mut writer = Writer::default();
    writer.value(value, None, 0)?;
    Ok(writer.out)
}

#[derive(Default)]
struct Writer {
    out: String,
    objects: usize,
    types: HashMap<Arc<[String]>, usize>,
}

impl Writer {
    fn value(&mut self, value: &Value, name: Option<&str>, depth: usize) -> Result<(), ProtocolError> {
        if depth > DEPTH {
            return Err(ProtocolError::Value(format!("it is more than {DEPTH} deep")));
        }
        match value {
            Value::Object(object) => self.object(object, name, depth),
            Value::List(items) => {
                self.open_object(name);
                self.type_names(&["System.Collections.ArrayList".to_owned(), "System.Object".to_owned()].into());
                self.items("LST", items, depth)?;
                self.out.push_str("</Obj>");
                Ok(())
            }
            Value::Dict(entries) => {
                self.open_object(name);
                self.type_names(&["System.Collections.Hashtable".to_owned(), "System.Object".to_owned()].into());
                self.entries(entries, depth)?;
                self.out.push_str("</Obj>");
                Ok(())
            }
            _ => {
                self.primitive(value, name);
                Ok(())
            }
        }
    }

    fn primitive(&mut self, value: &Value, name: Option<&str>) {
        let Some(element) = primitive::element(value) else { return };
        self.out.push('<');
        self.out.push_str(element);
        self.name(name);
        if value.is_null() {
            self.out.push_str(" />");
            return;
        }
        self.out.push('>');
        primitive::write(&mut self.out, value);
        self.out.push_str("</");
        self.out.push_str(element);
        self.out.push('>');
    }

    fn object(&mut self, object: &Object, name: Option<&str>, depth: usize) -> Result<(), ProtocolError> {
        self.open_object(name);
        self.type_names(&object.type_names);
        if let Some(text) = &object.to_string {
            self.out.push_str("<ToString>");
            encode(&mut self.out, text);
            self.out.push_str("</ToString>");
        }
        match &object.base {
            Base::None => {}
            Base::Primitive(value) => self.value(value, None, depth + 1)?,
            Base::List(items) => self.items("LST", items, depth)?,
            Base::Stack(items) => self.items("STK", items, depth)?,
            Base::Queue(items) => self.items("QUE", items, depth)?,
            Base::Enumerable(items) => self.items("IE", items, depth)?,
            Base::Dict(entries) => self.entries(entries, depth)?,
        }
        self.properties("Props", &object.adapted, depth)?;
        self.properties("MS", &object.extended, depth)?;
        self.out.push_str("</Obj>");
        Ok(())
    }

    fn open_object(&mut self, name: Option<&str>) {
        self.out.push_str("<Obj");
        self.name(name);
        self.out.push_str(&format!(" RefId=\"{}\">", self.objects));
        self.objects += 1;
    }

    fn name(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.out.push_str(" N=\"");
            encode(&mut self.out, name);
            self.out.push('"');
        }
    }

    /// In full the first time, by number after that.
    fn type_names(&mut self, names: &Arc<[String]>) {
        if names.is_empty() {
            return;
        }
        if let Some(id) = self.types.get(names) {
            self.out.push_str(&format!("<TNRef RefId=\"{id}\" />"));
            return;
        }
        let id = self.types.len();
        self.types.insert(Arc::clone(names), id);
        self.out.push_str(&format!("<TN RefId=\"{id}\">"));
        for name in names.iter() {
            self.out.push_str("<T>");
            encode(&mut self.out, name);
            self.out.push_str("</T>");
        }
        self.out.push_str("</TN>");
    }

    fn items(&mut self, element: &str, items: &[Value], depth: usize) -> Result<(), ProtocolError> {
        self.out.push_str(&format!("<{element}>"));
        for item in items {
            self.value(item, None, depth + 1)?;
        }
        self.out.push_str(&format!("</{element}>"));
        Ok(())
    }

    fn entries(&mut self, entries: &[(Value, Value)], depth: usize) -> Result<(), ProtocolError> {
        self.out.push_str("<DCT>");
        for (key, value) in entries {
            self.out.push_str("<En>");
            self.value(key, Some("Key"), depth + 1)?;
            self.value(value, Some("Value"), depth + 1)?;
            self.out.push_str("</En>");
        }
        self.out.push_str("</DCT>");
        Ok(())
    }

    fn properties(&mut self, element: &str, properties: &[(String, Value)], depth: usize) -> Result<(), ProtocolError> {
        if properties.is_empty() {
            return Ok(());
        }
        self.out.push_str(&format!("<{element}>"));
        for (name, value) in properties {
            self.value(value, Some(name), depth + 1)?;
        }
        self.out.push_str(&format!("</{element}>"));
        Ok(())
    }
}
