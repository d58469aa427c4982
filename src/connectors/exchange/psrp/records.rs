//! Errors, progress and information, as the server tells them (MS-PSRP 2.2.3.15, 2.2.5.1.x).

use super::clixml::Value;

/// An error record. Messages come in the server's language: decide by type name, reason or id, never by them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorRecord {
    /// For people. The record's own details where it has some, else the exception's message.
    pub message: String,
    /// The exception's type, the most derived first, without `Deserialized.`; then those of its inner exceptions.
    pub exception_types: Vec<String>,
    pub fully_qualified_id: String,
    /// `ErrorCategory_Category`, a number of System.Management.Automation.ErrorCategory.
    pub category: i32,
    /// `ErrorCategory_Activity`: the cmdlet, usually.
    pub activity: String,
    /// `ErrorCategory_Reason`: the exception's type without its namespace, usually.
    pub reason: String,
    pub target_name: String,
    pub target_type: String,
    /// `ErrorCategory_Message`, localised.
    pub category_message: String,
    /// What the error is about.
    pub target: Value,
}

/// How far a pipeline is, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub activity: String,
    pub activity_id: i32,
    pub parent_activity_id: i32,
    pub status: String,
    pub operation: String,
    /// −1: not known.
    pub percent: i32,
    /// −1: not known.
    pub seconds_remaining: i32,
    pub completed: bool,
}

/// What a pipeline wrote to the information stream (2.3, `Write-Information`, `Write-Host`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Information {
    pub message: Value,
    pub source: String,
    pub tags: Vec<String>,
}
