"""PowerShell remoting as Exchange offers it: WS-Management envelopes around psrpcore's server side. No-language mode: cmdlets with
parameters and nothing else."""

import base64
import datetime
import re
import secrets
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

import psrpcore
from psrpcore import types as ps

import errors

S, A, W, R, T = ("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/ws/2004/08/addressing",
                 "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
                 "http://schemas.xmlsoap.org/ws/2004/09/transfer")
POWERSHELL = "http://schemas.microsoft.com/powershell"
RESOURCE = POWERSHELL + "/Microsoft.Exchange"
FAULT = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
MOST_SHELLS = 18
IDLE = 900.0
TIMEOUT, INVALID_SHELL, BAD_RESOURCE, QUOTA, ABORTED, BAD_COMMAND = 2150858793, 2150858843, 2150858811, 2150859173, 995, 2150858778


class Fault(Exception):
    def __init__(self, code: int, subcode: str, message: str, status: int = 500, side: str = "Sender"):
        super().__init__(message)
        self.code, self.subcode, self.message, self.status, self.side = code, subcode, message, status, side


class Cut(Exception):
    """The connection is closed without an answer."""


def throttled(milliseconds: int) -> Fault:
    return Fault(QUOTA, "w:QuotaLimit", "The WS-Management service cannot process the request. This user is allowed a maximum number of "
                 f"{MOST_SHELLS} concurrent shells, which has been exceeded. Fail to create runspace because you have exceeded your budget to create runspace. "
                 f"Please wait for {max(1, milliseconds // 1000)} seconds. The request will not be approved for at least {milliseconds} milliseconds.")


def lost() -> Fault:
    return Fault(INVALID_SHELL, "w:InvalidSelectors", "The request for the Windows Remote Shell with ShellId failed because the shell was not found on the server. "
                 "Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server. Provide the correct ShellId or create a new shell and retry the operation.")


class Pipeline:
    def __init__(self, command_id: uuid.UUID, psrp):
        self.id, self.psrp = command_id, psrp
        self.waiting: list[bytes] = []
        self.done = False
        self.told = False
        self.stop = threading.Event()


class Shell:
    """A runspace pool with its pipelines; everything under one condition."""

    def __init__(self, shell_id: str, user: str, engine):
        self.id, self.user, self.engine = shell_id, user, engine
        self.pool = psrpcore.ServerRunspacePool()
        self.pipelines: dict[uuid.UUID, Pipeline] = {}
        self.waiting: list[bytes] = []
        self.change = threading.Condition()
        self.closed = False
        self.used = time.monotonic()
        self.cookie = secrets.token_hex(16)
        self.room = 100_000

    def feed(self, data: bytes) -> None:
        self.pool.receive_data(psrpcore.PSRPPayload(data, psrpcore.StreamType.default, None))
        while (event := self.pool.next_event()) is not None:
            self.on_event(event)
        self.pump()

    def on_event(self, event) -> None:
        name = type(event).__name__
        if name == "CreatePipelineEvent":
            pipeline = self.pipelines[event.pipeline_id]
            threading.Thread(target=self.work, args=(pipeline, event.pipeline), daemon=True).start()
        elif name == "GetAvailableRunspacesEvent":
            self.pool.runspace_availability_response(event.ci, 1)
        elif name in ("SetMaxRunspacesEvent", "SetMinRunspacesEvent", "ResetRunspaceStateEvent"):
            self.pool.runspace_availability_response(event.ci, True)

    def pump(self) -> None:
        """Moves what psrpcore wants to send to whoever will ask for it."""
        while (payload := self.pool.data_to_send(self.room)) is not None:
            owner = self.pipelines.get(payload.pipeline_id)
            (owner.waiting if owner else self.waiting).append(payload.data)
        self.change.notify_all()

    def work(self, pipeline: Pipeline, powershell) -> None:
        psrp = pipeline.psrp
        with self.change:
            psrp.start()
            self.pump()
        failure = None
        try:
            for command in powershell.commands:
                if command.is_script:
                    raise errors.CmdletError("System.Management.Automation.PSInvalidOperationException", "The syntax is not supported by this runspace. This can occur "
                                             "if the runspace is in no-language mode.", "InvalidOperation", command.command_text, "ScriptsNotAllowed", terminating=True)
            if len(powershell.commands) != 1:
                raise errors.CmdletError("System.Management.Automation.PSInvalidOperationException", "Only one command can be run in this stand-in's pipelines.",
                                         "InvalidOperation", "", "PipelineNotSupported", terminating=True)
            self.command(pipeline, powershell.commands[0])
        except errors.CmdletError as error:
            failure = error
        with self.change:
            if psrp.state == ps.PSInvocationState.Running:
                if pipeline.stop.is_set():
                    psrp.stop()
                elif failure is not None:
                    psrp._change_state(ps.PSInvocationState.Failed, error=record(failure, failure.target))
                else:
                    psrp.complete()
            pipeline.done = True
            self.pump()

    def command(self, pipeline: Pipeline, command) -> None:
        given, kept = [], {}
        for key, value in command.parameters:
            spelled = str(key).rstrip(":").lstrip("-") if key is not None else None
            given.append((spelled, plain(value)))
            kept[spelled or ""] = remembered(value)
        call = self.engine.run("onprem", str(command.command_text), given, kept, self.user)
        # Waiting belongs to the pipeline, so that it can be stopped and holds up nobody else.
        pipeline.stop.wait(min(120_000, call.get("DelayMilliseconds", 0)) / 1000)
        psrp = pipeline.psrp
        for kind, *rest in call.streams:
            with self.change:
                if psrp.state != ps.PSInvocationState.Running:
                    return
                getattr(psrp, f"write_{kind}")(*rest[0], **rest[1])
                self.pump()
        for text in call.warnings:
            with self.change:
                if psrp.state != ps.PSInvocationState.Running:
                    return
                psrp.write_warning(text)
        for index, value in enumerate(call.objects):
            if pipeline.stop.is_set():
                return
            with self.change:
                if psrp.state != ps.PSInvocationState.Running:
                    return
                psrp.write_output(shaped(value))
                if index % 50 == 49:
                    self.pump()
        for error in call.errors:
            if error.terminating:
                raise error
            made = record(error, call.name)
            with self.change:
                if psrp.state != ps.PSInvocationState.Running:
                    return
                psrp.prepare_message(made, message_type=ps.PSRPMessageType.ErrorRecord)
                self.pump()

    def close(self) -> None:
        with self.change:
            self.closed = True
            for pipeline in self.pipelines.values():
                pipeline.stop.set()
            self.change.notify_all()


def record(error, activity: str) -> ps.ErrorRecord:
    exception = ps.NETException(Message=error.message, HResult=-2146233088)
    exception.PSObject.type_names = [error.type_name, "Microsoft.Exchange.Data.Common.LocalizedException", "System.Exception", "System.Object"] \
        if error.type_name.startswith("Microsoft.") else [error.type_name, "System.Management.Automation.RuntimeException", "System.SystemException", "System.Exception", "System.Object"]
    number = secrets.token_hex(4).upper()
    fqid = error.fqid or (f"[Server=EX01,RequestId={uuid.uuid4()},TimeStamp={datetime.datetime.now():%d/%m/%Y %H:%M:%S}] "
                          f"[FailureCategory=Cmdlet-{error.reason}] {number},Microsoft.Exchange.Management.RecipientTasks.{activity.replace('-', '')}")
    return ps.ErrorRecord(
        Exception=exception,
        CategoryInfo=ps.ErrorCategoryInfo(Category=getattr(ps.ErrorCategory, error.category, ps.ErrorCategory.NotSpecified), Activity=activity, Reason=error.reason,
                                          TargetName=error.target, TargetType="String" if error.target else ""),
        TargetObject=error.target or None, FullyQualifiedErrorId=fqid)


def plain(value):
    """A parameter's value without PowerShell's wrapping."""
    if value is None:
        return None
    if isinstance(value, ps.PSSecureString):
        return value
    if isinstance(value, (bool, ps.PSBool)):
        return bool(value)
    if isinstance(value, dict):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)) or hasattr(value, "popleft"):
        return [plain(one) for one in value]
    if isinstance(value, uuid.UUID):
        return uuid.UUID(str(value))
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    names = getattr(getattr(value, "PSObject", None), "type_names", [])
    if any("SwitchParameter" in name for name in names):
        return bool(getattr(value, "IsPresent", True))
    return str(value)


def remembered(value):
    """The value with the type it came as, for /lab/calls; secrets only by their length."""
    names = list(getattr(getattr(value, "PSObject", None), "type_names", []) or [])
    kind = names[0] if names else {"bool": "System.Boolean", "int": "System.Int32", "str": "System.String"}.get(type(value).__name__, type(value).__name__)
    if value is None:
        return {"type": "null", "value": None}
    if isinstance(value, ps.PSSecureString):
        return {"type": "System.Security.SecureString", "value": None, "length": len(reveal(value))}
    made = plain(value)
    if isinstance(made, dict):
        return {"type": kind, "value": {key: remembered_plain(one) for key, one in made.items()}}
    if isinstance(made, list):
        return {"type": kind, "value": [remembered(one) for one in value]}
    return {"type": kind, "value": remembered_plain(made)}


def remembered_plain(value):
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, list):
        return [remembered_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: remembered_plain(one) for key, one in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def reveal(value) -> str:
    return value.decrypt() if hasattr(value, "decrypt") else str(value)


def shaped(value):
    """An object of ours as one of PowerShell's: {"__types": […], property: value}; other values go as they are."""
    if not isinstance(value, dict):
        return value
    made = ps.PSObject()
    made.PSObject.type_names = list(value["__types"])
    if "__text" in value:
        made.PSObject.to_string = value["__text"]
    for key, one in value.items():
        if key in ("__types", "__text"):
            continue
        made.PSObject.extended_properties.append(ps.PSNoteProperty(key, property_value(one)))
    return made


def property_value(value):
    if isinstance(value, uuid.UUID):
        return ps.PSGuid(str(value))
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return ps.PSInt(value) if -2**31 <= value < 2**31 else ps.PSInt64(value)
    if isinstance(value, datetime.datetime):
        return ps.PSDateTime(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, tzinfo=value.tzinfo)
    if isinstance(value, dict):
        return shaped(value)
    if isinstance(value, (list, tuple)):
        made = ps.PSList()
        for one in value:
            made.append(property_value(one))
        return made
    return str(value)


def duration(text: str | None, default: float) -> float:
    found = re.fullmatch(r"PT(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", (text or "").strip())
    return float(found.group(1) or 0) * 60 + float(found.group(2) or 0) if found and text else default


class Service:
    """All shells, and one operation after another on them."""

    def __init__(self, engine):
        self.engine = engine
        self.shells: dict[str, Shell] = {}
        self.lock = threading.Lock()

    def sweep(self) -> None:
        with self.lock:
            for key, shell in list(self.shells.items()):
                if time.monotonic() - shell.used > IDLE:
                    del self.shells[key]
                    shell.close()

    def answer(self, body: bytes, user: str, cookies: dict) -> tuple[int, bytes, dict]:
        """HTTP status, body, headers. Raises Cut where the connection is to be closed."""
        message_id, headers = "uuid:" + str(uuid.uuid4()), {}
        try:
            try:
                top = ET.fromstring(body)
            except ET.ParseError:
                raise Fault(0x80338003 & 0xFFFFFFFF, "w:SchemaValidationError", "The envelope is not XML.") from None
            head, content = top.find(f"{{{S}}}Header"), top.find(f"{{{S}}}Body")
            if head is None or content is None:
                raise Fault(2150858752, "w:SchemaValidationError", "The envelope has no header or no body.")
            message_id = (head.findtext(f"{{{A}}}MessageID") or "").strip()
            action = (head.findtext(f"{{{A}}}Action") or "").strip()
            if not message_id:
                raise Fault(2150858752, "a:MessageInformationHeaderRequired", "The MessageID header is missing.")
            if (head.findtext(f"{{{W}}}ResourceURI") or "").strip() != RESOURCE:
                raise Fault(BAD_RESOURCE, "a:DestinationUnreachable", "The WS-Management service cannot process the request. The resource URI "
                            f"({(head.findtext(f'{{{W}}}ResourceURI') or '').strip()}) was not found in the WS-Management catalog.")
            reply = self.operation(action, head, content, user, cookies, headers)
            return 200, envelope(action, message_id, reply), headers
        except Fault as fault:
            return fault.status, fault_envelope(message_id, fault), headers

    def operation(self, action, head, content, user, cookies, headers):
        self.sweep()
        name = {T + "/Create": "Create", T + "/Delete": "Delete", R + "/Command": "Command", R + "/Receive": "Receive", R + "/Send": "Send", R + "/Signal": "Signal"}.get(action)
        if name is None:
            raise Fault(2150858792, "a:ActionNotSupported", f"The action {action} is not supported by the resource.")
        shell = None if name == "Create" else self.shell(head, user, cookies)
        fault = None if name == "Command" else self.engine.fault(name)
        if fault:
            self.inflict(fault, shell)
        reply = getattr(self, name.lower())(shell, head, content, user, headers)
        if fault and fault["do"] == "cut-after":
            raise Cut()
        return reply

    def inflict(self, fault: dict, shell) -> None:
        kind = fault["do"]
        if kind == "delay":
            time.sleep(min(120_000, fault.get("ms", 1000)) / 1000)
        elif kind == "cut":
            raise Cut()
        elif kind == "throttle":
            raise throttled(fault.get("ms", 2000))
        elif kind == "status":
            raise Fault(2150858752, "w:InternalError", "Injected.", fault.get("status", 503))
        elif kind == "lose-shell":
            if shell is not None:
                with self.lock:
                    self.shells.pop(shell.id, None)
                shell.close()
            raise lost()

    def shell(self, head, user, cookies) -> Shell:
        wanted = next((one.text for one in head.iter(f"{{{W}}}Selector") if one.get("Name") == "ShellId"), None)
        with self.lock:
            shell = self.shells.get((wanted or "").strip().upper())
        # Without its cookie a request reaches another server, which does not know the shell.
        if shell is None or shell.user != user or cookies.get("X-BackEndCookie") != shell.cookie:
            raise lost()
        shell.used = time.monotonic()
        return shell

    def create(self, _, head, content, user, headers):
        asked = content.find(f"{{{R}}}Shell")
        xml = content.find(f".//{{{POWERSHELL}}}creationXml")
        if asked is None or xml is None or not (xml.text or "").strip():
            raise Fault(2150858752, "w:SchemaValidationError", "The shell has no creationXml.")
        version = [one for one in head.iter(f"{{{W}}}Option") if one.get("Name") == "protocolversion"]
        if not version:
            raise Fault(2150858752, "w:InvalidOptions", "The option protocolversion is missing.")
        shell_id = (asked.get("ShellId") or str(uuid.uuid4())).upper()
        shell = Shell(shell_id, user, self.engine)
        with self.lock:
            if sum(1 for one in self.shells.values() if one.user == user) >= MOST_SHELLS:
                raise throttled(30_000)
            if shell_id in self.shells:
                raise Fault(2150859090, "w:AlreadyExists", "A shell with this ShellId exists.")
        with shell.change:
            try:
                shell.feed(base64.b64decode(xml.text))
            except Exception as error:
                raise Fault(2150858752, "w:InternalError", f"The runspace pool could not be opened: {error}") from None
        with self.lock:
            self.shells[shell_id] = shell
        headers["Set-Cookie"] = f"X-BackEndCookie={shell.cookie}; path=/PowerShell; secure; HttpOnly"
        return (f'<x:ResourceCreated><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address><a:ReferenceParameters>'
                f'<w:ResourceURI>{RESOURCE}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>'
                f'<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId><rsp:ResourceUri>{RESOURCE}</rsp:ResourceUri><rsp:Owner>{escape(user)}</rsp:Owner>'
                f'<rsp:ClientIP>127.0.0.1</rsp:ClientIP><rsp:IdleTimeOut>PT900.000S</rsp:IdleTimeOut><rsp:InputStreams>stdin pr</rsp:InputStreams>'
                f'<rsp:OutputStreams>stdout</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>')

    def command(self, shell, head, content, user, headers):
        line = content.find(f"{{{R}}}CommandLine")
        arguments = line.find(f"{{{R}}}Arguments") if line is not None else None
        if arguments is None or not (arguments.text or "").strip():
            raise Fault(2150858752, "w:SchemaValidationError", "The command has no arguments.")
        try:
            command_id = uuid.UUID(line.get("CommandId") or str(uuid.uuid4()))
            data = base64.b64decode(arguments.text)
        except ValueError:
            raise Fault(2150858752, "w:SchemaValidationError", "The command's id or arguments cannot be read.") from None
        name = command_name(data)
        fault = self.engine.fault("Command", name)
        if fault and fault["do"] != "cut-after":
            self.inflict(fault, shell)
        with shell.change:
            if shell.closed:
                raise lost()
            # psrpcore wants to know the pipeline before its first fragment comes.
            pipeline = Pipeline(command_id, psrpcore.ServerPipeline(shell.pool, command_id))
            shell.pipelines[command_id] = pipeline
            try:
                shell.feed(data)
            except Exception as error:
                del shell.pipelines[command_id]
                raise Fault(2150858752, "w:InternalError", f"The pipeline could not be read: {error}") from None
        if fault and fault["do"] == "cut-after":
            until = time.monotonic() + 30
            with shell.change:
                while not pipeline.done and time.monotonic() < until:
                    shell.change.wait(1)
            raise Cut()
        return f"<rsp:CommandResponse><rsp:CommandId>{str(command_id).upper()}</rsp:CommandId></rsp:CommandResponse>"

    def receive(self, shell, head, content, user, headers):
        desired = content.find(f".//{{{R}}}DesiredStream")
        command = desired.get("CommandId") if desired is not None else None
        wait = min(180.0, duration(head.findtext(f"{{{W}}}OperationTimeout"), 60.0))
        until = time.monotonic() + wait
        with shell.change:
            pipeline = None
            if command:
                pipeline = shell.pipelines.get(as_uuid(command))
                if pipeline is None:
                    raise Fault(BAD_COMMAND, "w:InvalidSelectors", "The command with this CommandId was not found on the server.")
            owner = pipeline or shell
            while True:
                if shell.closed:
                    raise Fault(ABORTED, "w:InternalError", "The I/O operation has been aborted because of either a thread exit or an application request.", side="Receiver")
                if owner.waiting or (pipeline and pipeline.done and not pipeline.told):
                    break
                left = until - time.monotonic()
                if left <= 0 or (pipeline and pipeline.told):
                    raise Fault(TIMEOUT, "w:TimedOut", "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.", side="Receiver")
                shell.change.wait(left)
                shell.used = time.monotonic()
            taken, size = [], 0
            while owner.waiting and (not taken or size + len(owner.waiting[0]) < shell.room):
                taken.append(owner.waiting.pop(0))
                size += len(taken[-1])
            attribute = f' CommandId="{str(pipeline.id).upper()}"' if pipeline else ""
            streams = "".join(f'<rsp:Stream Name="stdout"{attribute}>{base64.b64encode(one).decode()}</rsp:Stream>' for one in taken)
            state = ""
            if pipeline:
                done = pipeline.done and not pipeline.waiting
                pipeline.told = pipeline.told or done
                state = f'<rsp:CommandState{attribute} State="{R}/CommandState/{"Done" if done else "Running"}"/>'
                if done:
                    state = state.replace("/>", "><rsp:ExitCode>0</rsp:ExitCode></rsp:CommandState>")
        return f"<rsp:ReceiveResponse>{streams}{state}</rsp:ReceiveResponse>"

    def send(self, shell, head, content, user, headers):
        with shell.change:
            for stream in content.iter(f"{{{R}}}Stream"):
                try:
                    shell.feed(base64.b64decode(stream.text or ""))
                except Exception as error:
                    raise Fault(2150858752, "w:InternalError", f"The data could not be read: {error}") from None
        return "<rsp:SendResponse/>"

    def signal(self, shell, head, content, user, headers):
        signal = content.find(f"{{{R}}}Signal")
        command = as_uuid(signal.get("CommandId")) if signal is not None and signal.get("CommandId") else None
        with shell.change:
            pipeline = shell.pipelines.get(command)
            if pipeline is not None:
                pipeline.stop.set()
                code = (signal.findtext(f"{{{R}}}Code") or "").strip()
                if code.endswith("crtl_c") or code.endswith("ctrl_c"):
                    if pipeline.psrp.state == ps.PSInvocationState.Running:
                        pipeline.psrp.stop()
                        shell.pump()
                    pipeline.done = True
                elif pipeline.done or code.endswith("terminate"):
                    pipeline.done = True
                    shell.pipelines.pop(command, None)
                    shell.pool.pipeline_table.pop(command, None)
                shell.change.notify_all()
        return "<rsp:SignalResponse/>"

    def delete(self, shell, head, content, user, headers):
        with self.lock:
            self.shells.pop(shell.id, None)
        shell.close()
        return ""


def as_uuid(text: str):
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def command_name(data: bytes) -> str | None:
    """The first command's name out of the fragments, for faults that are meant for one cmdlet."""
    found = re.search(rb'<S N="Cmd">([^<]*)</S>', data)
    return found.group(1).decode("utf-8", "replace") if found else None


def envelope(action: str, message_id: str, body: str) -> bytes:
    return (f'<s:Envelope xml:lang="en-US" xmlns:s="{S}" xmlns:a="{A}" xmlns:x="{T}" xmlns:w="{W}" xmlns:rsp="{R}" '
            f'xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"><s:Header><a:Action>{action}Response</a:Action><a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>'
            f'<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To><a:RelatesTo>{escape(message_id)}</a:RelatesTo></s:Header>'
            f'<s:Body>{body}</s:Body></s:Envelope>').encode()


def fault_envelope(message_id: str, fault: Fault) -> bytes:
    return (f'<s:Envelope xml:lang="en-US" xmlns:s="{S}" xmlns:a="{A}" xmlns:x="{T}" xmlns:e="http://schemas.xmlsoap.org/ws/2004/08/eventing" '
            f'xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" xmlns:w="{W}" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd">'
            f'<s:Header><a:Action>{FAULT}</a:Action><a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>'
            f'<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To><a:RelatesTo>{escape(message_id)}</a:RelatesTo></s:Header>'
            f'<s:Body><s:Fault><s:Code><s:Value>s:{fault.side}</s:Value><s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode></s:Code>'
            f'<s:Reason><s:Text xml:lang="en-US">{escape(fault.message)}</s:Text></s:Reason><s:Detail>'
            f'<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{fault.code}" Machine="ex01.corp.example.com">'
            f'<f:Message>{escape(fault.message)}</f:Message></f:WSManFault></s:Detail></s:Fault></s:Body></s:Envelope>').encode()
