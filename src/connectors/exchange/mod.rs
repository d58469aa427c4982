//! Exchange, on premises and Online: one cmdlet notion, two transports, resources on top.

pub mod classify;
pub mod cmdlet;
pub mod online;
pub mod onprem;
pub mod psrp;
pub mod value;
