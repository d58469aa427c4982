//! `_xHHHH_`: how CLIXML writes what XML cannot hold (MS-PSRP 2.2.5.3.2).

use std::borrow::Cow;

/// Appends `text` as the content of an element or attribute: control characters, non-characters and everything outside
/// the basic plane as UTF-16 units in `_xHHHH_`, an underscore that would read as the start of one as `_x005F_`, and
/// XML's own five.
pub(super) fn encode(out: &mut String, text: &str) {
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '_' if matches!(chars.peek(), Some('x' | 'X')) => out.push_str("_x005F_"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fffe}'..='\u{10ffff}' => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("_x{unit:04X}_"));
                }
            }
            _ => out.push(char),
        }
    }
}

/// The text that an element's content stands for. What only looks like an escape stays as it is; a lone surrogate, which
/// .NET allows and Rust does not, becomes U+FFFD.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('_').filter(|_| text.contains("_x") || text.contains("_X")) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    let mut high = None;
    while let Some(char) = rest.chars().next() {
        let unit = escape(rest);
        let length = if unit.is_some() { ESCAPE } else { char.len_utf8() };
        rest = &rest[length..];
        match (high.take(), unit) {
            (Some(before), Some(unit @ 0xdc00..=0xdfff)) => out.extend(char::decode_utf16([before, unit]).flatten()),
            (before, unit) => {
                if before.is_some() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    Some(0xd800..=0xdbff) => high = unit,
                    Some(unit) => out.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER)),
                    None => out.push(char),
                }
            }
        }
    }
    if high.is_some() {
        out.push(char::REPLACEMENT_CHARACTER);
    }
    Cow::Owned(out)
}

/// Bytes of `_xHHHH_`.
const ESCAPE: usize = 7;

/// The UTF-16 unit of the escape that `text` starts with.
fn escape(text: &str) -> Option<u16> {
    let bytes = text.as_bytes().get(..ESCAPE)?;
    let [b'_', b'x' | b'X', digits @ .., b'_'] = bytes else { return None };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = String::new();
        encode(&mut out, text);
        out
    }

    #[test]
    fn what_xml_cannot_hold_is_written_as_utf16_units() {
        assert_eq!(encoded("a\r\n\tb"), "a_x000D__x000A__x0009_b");
        assert_eq!(encoded("\0\x7f\u{85}\u{fffe}\u{ffff}"), "_x0000__x007F__x0085__xFFFE__xFFFF_");
        assert_eq!(encoded("🎉"), "_xD83C__xDF89_");
        assert_eq!(encoded("_x0041_ _X _y __x"), "_x005F_x0041_ _x005F_X _y __x005F_x");
        assert_eq!(encoded("Zoë <&> \"ü\""), "Zoë &lt;&amp;&gt; &quot;ü&quot;");
    }

    #[test]
    fn escapes_are_read_and_what_only_looks_like_one_stays() {
        assert_eq!(decode("_x0041__x0042_"), "AB");
        assert_eq!(decode("_x0041_x0042_"), "Ax0042_");
        assert_eq!(decode("_xD83C__xdf89_"), "🎉");
        assert_eq!(decode("_x _x004 _x00G1_ _x+041_ _x0041"), "_x _x004 _x00G1_ _x+041_ _x0041");
        assert_eq!(decode("_xé041_"), "_xé041_");
        assert_eq!(decode("_x005F_x0041_"), "_x0041_");
        assert_eq!(decode("_xD83C_a_xDF89__xD83C__xD83C_"), "\u{fffd}a\u{fffd}\u{fffd}\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "(_x|_X|[0-9A-F]{4}_|\\PC|\\s|.|[\u{0}-\u{20}]|[\u{fff0}-\u{1000f}])*") {
            let mut escaped = encoded(&text);
            for (entity, char) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")] {
                escaped = escaped.replace(entity, char);
            }
            prop_assert_eq!(decode(&escaped), text);
        }

        #[test]
        fn anything_can_be_decoded(text in "(_x|_|D8|DC|00|[0-9A-Fa-fxX_é🎉])*") {
            prop_assert!(decode(&text).chars().count() <= text.chars().count());
        }
    }
}
