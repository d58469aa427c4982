"""Cmdlets: which exist in which flavour, which parameters they take, what is bound to them, and what came of it."""

import collections
import datetime
import json
import pathlib
import threading
import time
import uuid

import errors

TABLE = json.loads(pathlib.Path(__file__).with_name("cmdlets.json").read_text(encoding="utf-8"))
COMMON = {"verbose": "switch", "debug": "switch", "erroraction": "string", "warningaction": "string", "informationaction": "string",
          "errorvariable": "string", "warningvariable": "string", "informationvariable": "string", "outvariable": "string", "outbuffer": "int",
          "pipelinevariable": "string"}
SHOULD = {"whatif": "switch", "confirm": "switch"}
HANDLERS = {}


def cmdlet(*names):
    def note(function):
        for name in names:
            HANDLERS[name.lower()] = function
        return function
    return note


class Parameters:
    """The table of one flavour: cmdlet → parameter → kind."""

    def __init__(self, flavour: str):
        self.cmdlets = {}
        for name, sets in TABLE["cmdlets"].items():
            if flavour not in sets and "both" not in sets:
                continue
            taken = {}
            for one in sets.get("both", []) + sets.get(flavour, []):
                parameter, _, kind = one.partition(":")
                taken[parameter.lower()] = (parameter, kind or "string")
            self.cmdlets[name.lower()] = (name, taken)

    def bind(self, name: str, given: list):
        """Names and kinds checked as PowerShell's binder does; gives the cmdlet's own spelling and {parameter: value}."""
        if name.lower() not in self.cmdlets:
            raise errors.unknown_cmdlet(name)
        proper, taken = self.cmdlets[name.lower()]
        extra = dict(COMMON)
        if not proper.startswith(("Get-", "Test-")):
            extra.update(SHOULD)
        bound, common = {}, {}
        for key, value in given:
            if key is None:
                key = "Identity" if "identity" in taken and "Identity" not in bound else None
                if key is None:
                    raise errors.binding(proper, "A positional parameter cannot be found that accepts the argument.", "PositionalParameterNotFound")
            low = key.lstrip("-").rstrip(":").lower()
            if low in taken:
                spelling, kind = taken[low]
                if spelling in bound:
                    raise errors.binding(proper, f"Cannot bind parameter because parameter '{spelling}' is specified more than once.", "ParameterAlreadyBound")
                bound[spelling] = convert(proper, spelling, kind, value)
            elif low in extra:
                common[low] = convert(proper, key, extra[low], value)
            else:
                raise errors.binding(proper, f"A parameter cannot be found that matches parameter name '{key.lstrip('-')}'.", "NamedParameterNotFound")
        return proper, bound, common


def convert(cmdlet_name, parameter, kind, value):
    def wrong(target):
        return errors.binding(cmdlet_name, f"Cannot process argument transformation on parameter '{parameter}'. "
                              f'Cannot convert value "{value}" to type "{target}".', "ParameterArgumentTransformationError")
    if kind in ("switch", "bool"):
        if value is None and kind == "switch":
            return True
        if not isinstance(value, bool):
            raise wrong("System.Boolean" if kind == "bool" else "System.Management.Automation.SwitchParameter")
        return bool(value)
    if kind == "int":
        if isinstance(value, bool) or value is None or (isinstance(value, str) and not value.strip().lstrip("-").isdigit()):
            raise wrong("System.Int32")
        return int(value)
    if kind == "guid":
        try:
            return uuid.UUID(str(value))
        except ValueError:
            raise wrong("System.Guid") from None
    if kind == "secure":
        return value
    if kind == "list":
        if value is None:
            return []
        if isinstance(value, dict) or isinstance(value, (list, tuple)):
            return value
        return [value]
    if isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise errors.binding(cmdlet_name, f"Cannot process argument transformation on parameter '{parameter}'. Cannot convert value to type System.String.", "ParameterArgumentTransformationError")
        return value[0]
    if isinstance(value, dict):
        raise wrong("System.String")
    return value


class Call:
    """One cmdlet being run: bound parameters in, objects, warnings and errors out."""

    def __init__(self, flavour, name, bound, common, backend, store, user):
        self.flavour, self.name, self.bound, self.common = flavour, name, bound, common
        self.backend, self.store, self.user = backend, store, user
        self.objects, self.warnings, self.errors, self.streams = [], [], [], []

    def has(self, name):
        return name in self.bound

    def get(self, name, default=None):
        return self.bound.get(name, default)

    def need(self, *names):
        missing = [name for name in names if self.bound.get(name) in (None, "")]
        if missing:
            raise errors.binding(self.name, f"Cannot process command because of one or more missing mandatory parameters: {' '.join(missing)}.", "MissingMandatoryParameter")
        return self.bound[names[0]] if len(names) == 1 else [self.bound[name] for name in names]

    def out(self, value):
        self.objects.append(value)

    def warn(self, text):
        self.warnings.append(text)

    @property
    def what_if(self):
        return bool(self.common.get("whatif"))


class Engine:
    def __init__(self, store, backends: dict):
        self.store, self.backends = store, backends
        self.tables = {flavour: Parameters(flavour) for flavour in ("onprem", "online")}
        self.faults, self.calls = [], collections.deque(maxlen=20000)
        self.lock = threading.RLock()
        self.one = threading.RLock()

    def fault(self, on: str, name: str | None = None):
        """The next fault that is meant for this operation, taken away; None where there is none."""
        with self.lock:
            for index, fault in enumerate(self.faults):
                if fault.get("on") != on:
                    continue
                if fault.get("cmdlet") and (name is None or fault["cmdlet"].lower() != name.lower()):
                    continue
                times = fault.get("times", 1)
                if times > 1:
                    fault["times"] = times - 1
                else:
                    del self.faults[index]
                return dict(fault)
        return None

    def note(self, flavour, name, given, user, outcome):
        with self.lock:
            self.calls.append({"at": datetime.datetime.now(datetime.timezone.utc).isoformat(), "flavour": flavour, "cmdlet": name, "user": user,
                               "parameters": given, **outcome})

    def run(self, flavour: str, name: str, given: list, kept: dict, user: str) -> Call:
        """`given`: (name, plain value) pairs; `kept`: what to remember of them, types and all. Terminating errors are in `errors` too."""
        started = time.monotonic()
        try:
            proper, bound, common = self.tables[flavour].bind(name, given)
        except errors.CmdletError as error:
            call = Call(flavour, name, {}, {}, None, self.store, user)
            error.target = error.target or name
            call.errors.append(error)
            self.note(flavour, name, kept, user, {"error": error.type_name})
            return call
        call = Call(flavour, proper, bound, common, self.backends.get(flavour), self.store, user)
        fault = self.fault("Run", proper)
        planned = errors.CmdletError(fault.get("type", "Microsoft.Exchange.Data.Directory.ADTransientException"), fault.get("message", "Injected."),
                                     fault.get("category", "NotSpecified")) if fault else None
        try:
            if planned and not fault.get("after"):
                raise planned
            if proper.startswith(("Disable-", "Remove-")) and common.get("confirm") is not False and flavour == "onprem":
                raise errors.CmdletError("System.Management.Automation.Host.HostException", "A command that prompts the user failed because the host program or the "
                                         "command type does not support user interaction. Try again with Confirm switched off.", "NotImplemented", proper, "HostFunctionNotImplemented," + proper)
            with self.one:
                if call.backend is not None:
                    call.backend.begin()
                HANDLERS[proper.lower()](call)
            if planned:
                raise planned
        except errors.CmdletError as error:
            call.errors.append(error)
        except Exception as error:  # the stand-in's own failure, or the directory's: shown, never swallowed
            import traceback
            traceback.print_exc()
            call.errors.append(errors.CmdletError("Microsoft.Exchange.Data.Directory.ADTransientException" if "LDAP" in type(error).__name__ else "System.InvalidOperationException",
                                                  f"{type(error).__name__}: {error}", "NotSpecified"))
        self.note(flavour, proper, kept, user, {"milliseconds": round((time.monotonic() - started) * 1000), "objects": len(call.objects),
                                                "warnings": list(call.warnings), "error": call.errors[0].type_name if call.errors else None,
                                                "message": call.errors[0].message if call.errors else None})
        return call
