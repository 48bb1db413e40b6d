"""Protobuf: what is called compatible is read by Google's own library as it was written; what breaks has a message."""

from hypothesis import given, note
from hypothesis import strategies as st

from headrace.contracts.compatibility import Verdict
from headrace.contracts.compatibility.protobuf import compare_protobuf

SCALARS = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "fixed64": 6, "fixed32": 7, "bool": 8, "string": 9,
    "bytes": 12, "uint32": 13, "sfixed32": 15, "sfixed64": 16, "sint32": 17, "sint64": 18,
}  # fmt: skip
ENUM, MESSAGE = 14, 11
VALUES = {
    **dict.fromkeys((5, 17, 15), (-(2**31), -1, 0, 1, 2, 2**31 - 1)), **dict.fromkeys((13, 7), (0, 1, 2, 2**31)),
    **dict.fromkeys((3, 18, 16), (-(2**63), -1, 0, 1, 2**31, 2**32)), **dict.fromkeys((4, 6), (0, 1, 2, 2**32, 2**63)),
    8: (False, True), 9: ("", "a"), 12: (b"", b"a", b"\xff"), 1: (0.0, 1.5), 2: (0.0, 1.5),
}  # fmt: skip
LABELS = {"": 1, "optional": 1, "required": 2, "repeated": 3}


@st.composite
def versions(draw):
    """A file with a message of up to three fields, and an enum: (syntax, values of the enum by number, fields)."""
    syntax = draw(st.sampled_from(["proto2", "proto3"]))
    numbers = draw(st.lists(st.sampled_from([1, 2, -1]), min_size=1, max_size=2, unique=True))
    enum = {0: draw(st.sampled_from("XY")), **{n: f"V{n}".replace("-", "_") for n in numbers}}
    fields = []
    for number in draw(st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True)):
        kind = draw(st.sampled_from([*SCALARS, "E", "E", "Inner", "int32", "int64"]))
        oneof = draw(st.sampled_from(["", "", "x", "y"]))
        labels = ["optional", "required", "repeated"] if syntax == "proto2" else ["", "optional", "repeated"]
        fields.append((number, kind, "" if oneof else draw(st.sampled_from(labels)), oneof))
    return syntax, enum, sorted(fields)


def text_of(version):
    syntax, enum, fields = version
    lines = [f'syntax = "{syntax}";', "enum E {", *(f"  {name} = {number};" for number, name in enum.items()), "}"]
    lines += ["message Inner { " + ("optional " if syntax == "proto2" else "") + "int32 i = 1; }", "message A {"]
    for oneof in ("", "x", "y"):
        own = [f"{label} {kind} f{number} = {number};" for number, kind, label, each in fields if each == oneof]
        lines += [f"oneof {oneof} {{", *own, "}"] if oneof and own else own
    return "\n".join([*lines, "}"])


def class_of(version):
    """The same file as a descriptor, and what Google's library makes of it: nothing of ours reads it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    syntax, enum, fields = version
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", syntax=syntax)
    declared = file.enum_type.add(name="E")
    for number, name in enum.items():
        declared.value.add(name=name, number=number)
    file.message_type.add(name="Inner").field.add(name="i", number=1, type=5, label=1)
    message = file.message_type.add(name="A")
    oneofs = [each for each in ("x", "y") if any(field[3] == each for field in fields)]
    for each in oneofs:
        message.oneof_decl.add(name=each)
    for number, kind, label, oneof in fields:
        type_ = SCALARS.get(kind) or (ENUM if kind == "E" else MESSAGE)
        field = message.field.add(name=f"f{number}", number=number, type=type_, label=LABELS[label])
        if type_ in {ENUM, MESSAGE}:
            field.type_name = f".{kind}"
        if oneof:
            field.oneof_index = oneofs.index(oneof)
        elif syntax == "proto3" and label == "optional":
            message.oneof_decl.add(name=f"_f{number}")
            field.oneof_index, field.proto3_optional = len(message.oneof_decl) - 1, True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("A"))


def said(message):
    """What a message says, by the numbers of its fields; the zero of a field without presence is no word."""
    found = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        values = list(value) if field.is_repeated else [value]
        if field.is_repeated or (message.HasField(field.name) if field.has_presence else value):
            plain = [(MESSAGE, each.SerializeToString()) if field.type == MESSAGE else each for each in values]
            if field.type == SCALARS["string"] and any(isinstance(each, bytes) for each in plain):
                plain = ["no text"]  # how proto2 reads what is no UTF-8
            names = field.enum_type.values_by_number if field.type == ENUM else {}
            found[field.number] = [(each, names[each].name if names and each in names else None) for each in plain]
    return {number: values for number, values in found.items() if values}


def is_kept(written, reader):
    """Whether a reader sees what was written in each field that both have: values, and of an enum their names."""
    from google.protobuf.message import DecodeError

    read = reader()
    try:
        read.ParseFromString(written.SerializeToString())
        theirs = said(read)
    except (DecodeError, UnicodeDecodeError):
        return False
    known = reader.DESCRIPTOR.fields_by_number
    ours = {number: values for number, values in said(written).items() if number in known}
    for number in [each for each in ours if not (known[each].has_presence or known[each].is_repeated)]:
        if number not in theirs and not any(value for value, _ in ours[number]):
            del ours[number]  # a zero that is there, or not: who reads it cannot tell
    if not read.IsInitialized() or ours.keys() != theirs.keys():
        return False
    pairs = [(values, theirs[number]) for number, values in ours.items()]
    return all(len(mine) == len(seen) and all(map(_same, mine, seen)) for mine, seen in pairs)


def _same(one, other):
    (value, name), (seen, seen_name) = one, other
    if isinstance(value, tuple):  # a message: bytes keep it as it is on the wire
        return value == seen or value[1] == seen
    texts = [each.encode() if isinstance(each, str) else each for each in (value, seen)]
    return isinstance(texts[0], bytes) == isinstance(texts[1], bytes) and texts[0] == texts[1] and (
        not name or not seen_name or name == seen_name
    )  # fmt: skip


@st.composite
def messages(draw, version):
    made = class_of(version)()
    for number, kind, label, _ in version[2]:
        if label == "required" or draw(st.booleans()):
            own = tuple(version[1]) if kind == "E" else VALUES.get(SCALARS.get(kind), ())
            several = draw(st.lists(st.sampled_from(own or [None]), min_size=1, max_size=2))
            for value in several if label == "repeated" else several[:1]:
                field = getattr(made, f"f{number}")
                if kind == "Inner":
                    (field.add() if label == "repeated" else field).i = 1
                elif label == "repeated":
                    field.append(value)
                else:
                    setattr(made, f"f{number}", value)
    return made


@given(data=st.data(), old=versions(), new=versions())
def test_no_verdict_is_contradicted(data, old, new):
    from google.protobuf import json_format

    note(f"{text_of(old)}\n{text_of(new)}")
    changes = [each for each in compare_protobuf(text_of(old), text_of(new)) if each.pointer.startswith(("#/A", "#/E"))]
    classes = class_of(old), class_of(new)
    for writer, (version, way) in enumerate(((old, "backward"), (new, "forward"))):
        if all(getattr(each, way) is Verdict.COMPATIBLE for each in changes):
            for _ in range(3):
                written = data.draw(messages(version))
                assert is_kept(written, classes[1 - writer]), written
        for change in changes:
            if getattr(change, way) is Verdict.BREAKING:
                example = json_format.ParseDict(getattr(change, f"{way}_example"), classes[writer]())
                assert example.IsInitialized(), change
                assert not is_kept(example, classes[1 - writer]), change
