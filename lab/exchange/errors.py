"""What a cmdlet answers when it does not do what was asked: Exchange's own type names and categories."""

TASKS = "Microsoft.Exchange.Configuration.Tasks."
DIRECTORY = "Microsoft.Exchange.Data.Directory."
STORAGE = "Microsoft.Exchange.Management.StoreTasks."


class CmdletError(Exception):
    """One error record. `type_name` is the exception's full .NET name; its last part is the record's reason."""

    def __init__(self, type_name: str, message: str, category: str = "InvalidOperation", target: str = "", fqid: str | None = None, terminating: bool = False):
        super().__init__(message)
        self.type_name, self.message, self.category, self.target = type_name, message, category, target
        self.terminating = terminating
        self.fqid = fqid

    @property
    def reason(self) -> str:
        return self.type_name.rsplit(".", 1)[-1]


def not_found(identity, server="dc1.corp.example.com"):
    return CmdletError(TASKS + "ManagementObjectNotFoundException",
                       f"The operation couldn't be performed because object '{identity}' couldn't be found on '{server}'.", "NotSpecified", str(identity))


def ambiguous(identity):
    return CmdletError(TASKS + "ManagementObjectAmbiguousException",
                       f"The operation couldn't be performed because '{identity}' matches multiple entries.", "InvalidArgument", str(identity))


def address_exists(address, owner):
    return CmdletError("Microsoft.Exchange.Configuration.ObjectModel.ProxyAddressExistsException",
                       f'The proxy address "{address}" is already being used by the proxy addresses or LegacyExchangeDN of "{owner}". Please choose another proxy address.',
                       "InvalidData", owner)


def exists(name):
    return CmdletError(DIRECTORY + "ADObjectAlreadyExistsException",
                       f"Active Directory operation failed on dc1.corp.example.com. The object '{name}' already exists.", "NotSpecified", name)


def task(message, target="", category="InvalidArgument"):
    return CmdletError(TASKS + "RecipientTaskException", message, category, target)


def invalid(message, target="", type_name="Microsoft.Exchange.Data.Directory.DataValidationException"):
    return CmdletError(type_name, message, "InvalidData", target)


def binding(cmdlet, message, fqid):
    return CmdletError("System.Management.Automation.ParameterBindingException", message, "InvalidArgument", cmdlet, f"{fqid},{cmdlet}", terminating=True)


def unknown_cmdlet(name):
    return CmdletError("System.Management.Automation.CommandNotFoundException",
                       f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program. "
                       "Check the spelling of the name, or if a path was included, verify that the path is correct and try again.",
                       "ObjectNotFound", name, "CommandNotFoundException", terminating=True)


def denied(message):
    return CmdletError("Microsoft.Exchange.Configuration.Authorization.CmdletAccessDeniedException", message, "PermissionDenied")
