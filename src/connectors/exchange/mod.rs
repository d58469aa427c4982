//! Exchange, on premises and Online: one cmdlet notion, two transports, resources on top.

pub mod cmdlet;
