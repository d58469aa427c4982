//! What a server may ask of the host at the client's side (RemoteHostMethodId, MS-PSRP 2.2.3.17). There is none here; the
//! names are for the sentence that says what was asked.

/// In the order of their numbers, from 1.
const METHODS: [&str; 56] = [
    "GetName",
    "GetVersion",
    "GetInstanceId",
    "GetCurrentCulture",
    "GetCurrentUICulture",
    "SetShouldExit",
    "EnterNestedPrompt",
    "ExitNestedPrompt",
    "NotifyBeginApplication",
    "NotifyEndApplication",
    "ReadLine",
    "ReadLineAsSecureString",
    "Write",
    "Write",
    "WriteLine",
    "WriteLine",
    "WriteLine",
    "WriteErrorLine",
    "WriteDebugLine",
    "WriteProgress",
    "WriteVerboseLine",
    "WriteWarningLine",
    "Prompt",
    "PromptForCredential",
    "PromptForCredential",
    "PromptForChoice",
    "GetForegroundColor",
    "SetForegroundColor",
    "GetBackgroundColor",
    "SetBackgroundColor",
    "GetCursorPosition",
    "SetCursorPosition",
    "GetWindowPosition",
    "SetWindowPosition",
    "GetCursorSize",
    "SetCursorSize",
    "GetBufferSize",
    "SetBufferSize",
    "GetWindowSize",
    "SetWindowSize",
    "GetWindowTitle",
    "SetWindowTitle",
    "GetMaxWindowSize",
    "GetMaxPhysicalWindowSize",
    "GetKeyAvailable",
    "ReadKey",
    "FlushInputBuffer",
    "SetBufferContents",
    "SetBufferContents",
    "GetBufferContents",
    "ScrollBufferContents",
    "PushRunspace",
    "PopRunspace",
    "GetIsRunspacePushed",
    "GetRunspace",
    "PromptForChoice",
];

/// The method's name and whether the server waits for an answer. One that is not known is taken to wait.
pub(super) fn method(number: i32) -> (&'static str, bool) {
    let name = usize::try_from(number).ok().and_then(|number| METHODS.get(number.checked_sub(1)?));
    let silent = matches!(number, 6..=10 | 13..=22 | 28 | 30 | 32 | 34 | 36 | 38 | 40 | 42 | 47..=49 | 51..=53);
    (name.copied().unwrap_or("an unknown method"), !silent)
}

#[cfg(test)]
mod tests {
    use super::method;

    #[test]
    fn questions_wait_and_notices_do_not() {
        assert_eq!(method(11), ("ReadLine", true));
        assert_eq!(method(16), ("WriteLine", false));
        assert_eq!(method(26), ("PromptForChoice", true));
        assert_eq!(method(56), ("PromptForChoice", true));
        for number in [i32::MIN, -1, 0, 57, i32::MAX] {
            assert_eq!(method(number), ("an unknown method", true));
        }
    }
}
