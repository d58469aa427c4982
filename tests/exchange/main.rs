//! Exchange's two legs against peers that are not ours to bend: scripted faults, recordings, and the lab's stand-in.

mod lab_online;
mod online;
mod parameters;
mod peer;
