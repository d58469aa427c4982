//! .NET values as XML (MS-PSRP 2.2.5): the values, a reader and a writer.

mod object;
mod value;

pub use object::{Base, Object};
pub use value::Value;
