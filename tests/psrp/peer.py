"""psrpcore at the other end: one JSON object per line in, one per line out, CLIXML and fragments in base64.

What it is asked for stands in `do`; what goes wrong comes back as `error`, in words.
"""

import base64
import json
import random
import string
import sys
import uuid
from xml.etree import ElementTree

import psrpcore
from psrpcore import types as ps
from psrpcore.types._serializer import deserialize, serialize


class NoCipher(ps.PSCryptoProvider):
    def decrypt(self, value):
        raise ValueError("there is no key here")

    def encrypt(self, value):
        raise ValueError("there is no key here")

    def register_key(self, key):
        raise ValueError("there is no key here")


def read(xml, cipher=None):
    return deserialize(ElementTree.fromstring(xml), cipher or NoCipher())


def write(value, cipher=None):
    return ElementTree.tostring(serialize(value, cipher or NoCipher()), encoding="utf-8", method="xml")


def b64(data):
    return base64.b64encode(data).decode()


# ---- values ----


def units(text):
    """UTF-16 code units, so that lone surrogates can be told apart too."""
    return text.encode("utf-16-be", errors="surrogatepass").hex()


def plain(value):
    """What a value is, for comparing; lone surrogates as Rust reads them, `Deserialized.` aside."""
    props = []
    meta = getattr(value, "PSObject", None)
    if meta is not None and not isinstance(value, (ps.PSDateTime, ps.PSDuration)):
        for kind in ("adapted_properties", "extended_properties"):
            props.append({p.name: plain(p.get_value(value)) for p in getattr(meta, kind)})
        props = [p for p in props if p]
    if value is None or isinstance(value, bool):
        return value
    name = type(value).__name__
    if isinstance(value, (list, tuple)):
        body = [plain(v) for v in value]
        name = {"PSList": "list"}.get(name, name)
    elif isinstance(value, dict):
        body = {repr(plain(k)): plain(v) for k, v in value.items()}
        name = "dict"
    elif isinstance(value, ps.PSQueue):
        items = list(value.queue)
        body = [plain(v) for v in items]
    elif isinstance(value, str):
        body = units(value.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace"))
    elif isinstance(value, bytes):
        body = value.hex()
    elif isinstance(value, float):
        body = repr(float(value))
    elif isinstance(value, int):
        body = int(value)
    elif name == "PSObject":
        body = [n.replace("Deserialized.", "") for n in meta.type_names]
    else:
        body = str(value)
    return [name, body] + props


ALPHABETS = [
    string.ascii_letters + " _xX0123456789ABCDEFabcdef",
    "".join(map(chr, range(0x20))) + "".join(map(chr, range(0x7F, 0xA0))),
    "<>&\"'\r\n\t _x",
    "äöüßéèñçøåłžșżğıİßẞ漢字かな한국어العربيةעברית",
    "🎉🧑‍💻𝔘𐍈\U0010fffd\ufffd\u2028",
]


def text(rng):
    pieces = []
    for _ in range(rng.randrange(6)):
        kind = rng.randrange(len(ALPHABETS) + 1)
        if kind == len(ALPHABETS):
            pieces.append(rng.choice(["_x0041_", "_x", "_X000A_", "_x005F_", "_xD83C_", "x0041_", "_x12", "__x_"]))
        else:
            pieces.append("".join(rng.choice(ALPHABETS[kind]) for _ in range(rng.randrange(8))))
    return "".join(pieces)


def whole(rng, kind):
    return kind(rng.choice([kind.MinValue, kind.MaxValue, 0, 1, rng.randint(kind.MinValue, kind.MaxValue)]))


def primitive(rng):
    makers = [
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: ps.PSString(text(rng)),
        lambda: ps.PSChar(rng.randrange(0x10000)),
        lambda: whole(rng, rng.choice([ps.PSByte, ps.PSSByte, ps.PSInt16, ps.PSUInt16])),
        lambda: whole(rng, rng.choice([ps.PSInt, ps.PSUInt, ps.PSInt64, ps.PSUInt64])),
        lambda: ps.PSDouble(rng.choice([0.0, -0.0, 1e300, -5e-324, float("inf"), float("-inf"), rng.uniform(-1e9, 1e9)])),
        lambda: ps.PSDecimal(f"{rng.randint(-10**20, 10**20)}.{rng.randrange(1000)}"),
        lambda: ps.PSByteArray(rng.randbytes(rng.randrange(40))),
        lambda: ps.PSGuid(int=rng.getrandbits(128)),
        lambda: ps.PSVersion(".".join(str(rng.randrange(3000)) for _ in range(rng.randint(2, 4)))),
        lambda: ps.PSUri("https://example.test/" + text(rng)),
        lambda: ps.PSXml("<a>" + text(rng) + "</a>"),
        lambda: ps.PSScriptBlock(text(rng)),
        lambda: ps.PSDateTime(rng.randint(1601, 9999), 1 + rng.randrange(12), 1 + rng.randrange(28), 23, 59, rng.randrange(60)),
        lambda: ps.PSDuration(days=rng.randrange(400), hours=3, minutes=rng.randrange(60)),
    ]
    return rng.choice(makers)()


def some(rng, depth, seen):
    """A value; now and then an object that is in the tree already, which becomes a reference."""
    pick = rng.random()
    if depth == 0 or pick < 0.4:
        return primitive(rng)
    if pick < 0.5 and seen:
        return rng.choice(seen)
    if pick < 0.65:
        return ps.PSList([some(rng, depth - 1, seen) for _ in range(rng.randrange(5))])
    if pick < 0.7:
        return rng.choice([ps.PSStack, ps.PSIEnumerable])([some(rng, depth - 1, seen) for _ in range(rng.randrange(4))])
    if pick < 0.8:
        return ps.PSDict({ps.PSString(text(rng)): some(rng, depth - 1, seen) for _ in range(rng.randrange(5))})
    made = ps.PSObject()
    made.PSObject.type_names = [f"Test.Kind{rng.randrange(5)}", "System.Object"]
    for number in range(rng.randrange(6)):
        ps.add_note_property(made, f"P{number} {text(rng)}", some(rng, depth - 1, seen))
    seen.append(made)
    return made


# ---- a server ----


class Server:
    def __init__(self):
        self.pool = psrpcore.ServerRunspacePool(application_private_data={"lab": "Zürich 🎉"})
        self.pipelines = {}

    def feed(self, data, pipeline):
        if pipeline and pipeline not in self.pipelines:
            self.pipelines[pipeline] = psrpcore.ServerPipeline(self.pool, uuid.UUID(pipeline))
        self.pool.receive_data(psrpcore.PSRPPayload(data, psrpcore.StreamType.default, None))
        names = []
        while event := self.pool.next_event():
            names.append(type(event).__name__)
            if isinstance(event, psrpcore.CreatePipelineEvent):
                self.run(self.pipelines[str(event.pipeline_id)], event.pipeline)
        return names

    def run(self, pipeline, shell):
        (command,) = shell.commands
        if command.is_script:
            raise ValueError("a script")
        arguments = dict(command.parameters)
        pipeline.start()
        getattr(self, command.command_text.replace("-", "_").lower())(pipeline, **arguments)
        self.seen = [[name, plain(value) if not isinstance(value, ps.PSSecureString) else None] for name, value in arguments.items()]

    def get_many(self, pipeline, Count):
        for number in range(Count):
            made = ps.PSObject()
            made.PSObject.type_names = ["Microsoft.Exchange.Data.Directory.Management.Mailbox", "System.Object"]
            ps.add_note_property(made, "Number", ps.PSInt(number))
            ps.add_note_property(made, "Name", "Zoë Łuczak 漢字 🎉 _x0041_ \r\n" + "x" * (number % 50))
            pipeline.write_output(made)
        pipeline.complete()

    def get_echo(self, pipeline, **arguments):
        for value in arguments.values():
            pipeline.write_output(value)
        pipeline.complete()

    def test_secret(self, pipeline, Password, Other=None):
        pipeline.write_output(Password.decrypt())
        pipeline.write_output(ps.PSSecureString("vom Server: 🎉 _x0041_"))
        pipeline.complete()

    def write_all(self, pipeline):
        pipeline.write_warning("Vorsicht: 🎉\r\n_x0041_")
        pipeline.write_verbose("ausführlich")
        pipeline.write_debug("genau")
        pipeline.write_progress("Umzug", 7, "3 von 9", current_operation="Postfach", percent_complete=33, seconds_remaining=9)
        pipeline.write_information("Hinweis", "Quelle", tags=["PSHOST", "ü"])
        inner = ps.NETException(Message="innen")
        outer = ps.NETException(Message="Das Objekt »x« wurde nicht gefunden.", InnerException=inner)
        outer.PSObject.type_names = ["Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException", "System.Exception"]
        category = ps.ErrorCategoryInfo(
            Category=ps.ErrorCategory.ObjectNotFound,
            Activity="Get-Mailbox",
            Reason="ManagementObjectNotFoundException",
            TargetName="x",
            TargetType="String",
        )
        pipeline.write_error(outer, category, target_object="x", fully_qualified_error_id="[Server=EX1],Get-Mailbox")
        pipeline.write_output("fertig")
        pipeline.complete()

    def wait_event(self, pipeline):
        pipeline.write_output("wartet")

    def read_host(self, pipeline):
        pipeline.host_call(ps.HostMethodIdentifier.WriteLine2, ["hallo"])
        pipeline.host_call(ps.HostMethodIdentifier.ReadLine)

    def drain(self, amount):
        out = []
        while payload := self.pool.data_to_send(amount):
            out.append(b64(payload.data))
        return out


# ---- requests ----


def answer(request, server):
    do = request["do"]
    data = base64.b64decode(request.get("data", ""))
    if do == "echo":
        value = read(data)
        return {"data": b64(write(value)), "plain": plain(value)}
    if do == "make":
        return {"data": b64(write(some(random.Random(request["seed"]), 4, [])))}
    if do == "same":
        made, back = plain(some(random.Random(request["seed"]), 4, [])), plain(read(data))
        return {"same": made == back, "made": str(made), "back": str(back)}
    if do == "text":
        value = read(data)
        return {"units": units(str(value))}
    if do == "server":
        return {"server": True}
    if do == "feed":
        return {"events": server.feed(data, request.get("pipeline")), "out": server.drain(request.get("amount"))}
    if do == "seen":
        return {"seen": server.seen}
    if do == "stop":
        server.pipelines[request["pipeline"]].stop()
        return {"out": server.drain(request.get("amount"))}
    if do == "ask-key":
        server.pool.request_key()
        return {"out": server.drain(None)}
    if do == "break":
        server.pool.set_broken(ps.ErrorRecord(Exception=ps.NETException(Message="kaputt"), CategoryInfo=ps.ErrorCategoryInfo()))
        return {"out": server.drain(None)}
    if do == "pool":
        pool = server.pool
        return {"min": pool.min_runspaces, "max": pool.max_runspaces, "host": str(pool.host), "state": pool.state.name}
    raise ValueError(f"nobody knows {do}")


def main():
    server = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "server":
                server = Server()
            reply = answer(request, server)
        except Exception as error:  # what went wrong is the test's to judge
            reply = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


main()
