"""paho-mqtt for Python: commands come as lines of JSON and reports go as such. They are those of script_test.go."""

import base64
import json
import socket
import sys
import threading
from urllib.parse import urlparse

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TIMEOUT = 20  # seconds
NAMES = {
    "contentType": "ContentType",
    "responseTopic": "ResponseTopic",
    "correlationData": "CorrelationData",
    "messageExpiry": "MessageExpiryInterval",
    "payloadFormat": "PayloadFormatIndicator",
    "topicAlias": "TopicAlias",
    "userProperties": "UserProperty",
    "sessionExpiry": "SessionExpiryInterval",
    "receiveMaximum": "ReceiveMaximum",
    "topicAliasMaximum": "TopicAliasMaximum",
    "subscriptionIds": "SubscriptionIdentifier",
}
output = threading.Lock()


def report(peer, **what):
    with output:
        print(json.dumps({"peer": peer, **what}), flush=True)


def properties(kind, values):
    """The properties of a packet from those of a command."""
    result = Properties(kind)
    for name, value in values.items():
        if name == "correlationData":
            value = base64.b64decode(value)
        elif name == "userProperties":
            value = [tuple(pair) for pair in value]
        setattr(result, NAMES[name], value)
    return result


def reported(values):
    """The properties of a report from those of a packet."""
    result = {}
    for name, theirs in NAMES.items():
        if values is not None and hasattr(values, theirs):
            value = getattr(values, theirs)
            result[name] = base64.b64encode(value).decode() if name == "correlationData" else value
    return result


class Peer:
    """One client; every method answers a command of its name."""

    def __init__(self, number):
        self.number = number

    def connect(self, url, version, options):
        self.version = version
        v5 = version == mqtt.MQTTv5
        at = urlparse(url)
        transport = "websockets" if at.scheme == "ws" else "tcp"
        clean = options.get("clean", False)
        self.client = mqtt.Client(
            options["clientId"], None if v5 else clean, None, version, transport, reconnect_on_failure=False
        )
        if transport == "websockets":
            self.client.ws_set_options(at.path)
        self.answers = {}
        self.answered = threading.Condition()
        self.client.on_connect = lambda c, u, flags, code, props=None: self.answer(
            "connect", code, props, sessionPresent=bool(flags["session present"])
        )
        self.client.on_subscribe = lambda c, u, mid, codes, props=None: self.answer(mid, codes[0], props)
        self.client.on_publish = lambda c, u, mid: self.answer(mid, 0)
        self.client.on_message = self.received
        will = options.get("will")
        if will:
            payload = base64.b64decode(will["payload"])
            self.client.will_set(will["topic"], payload, will.get("qos", 0), will.get("retain", False))
        extra = {}
        if v5:
            wanted = {k: v for k, v in options.items() if k in ("sessionExpiry", "receiveMaximum", "topicAliasMaximum")}
            extra = {"clean_start": clean, "properties": properties(PacketTypes.CONNECT, wanted)}
        self.client.connect(at.hostname, at.port, 60, **extra)
        self.client.loop_start()
        return self.wait("connect")

    def received(self, client, userdata, m):
        report(
            self.number,
            message={
                "topic": m.topic, "payload": base64.b64encode(m.payload).decode(), "qos": m.qos, "retain": bool(m.retain),
                "properties": reported(getattr(m, "properties", None)),
            },
        )

    def answer(self, key, code, props=None, **more):
        code = getattr(code, "value", code)
        with self.answered:
            self.answers[key] = {"code": code, "reason": getattr(props, "ReasonString", ""), **more}
            self.answered.notify_all()

    def wait(self, key):
        with self.answered:
            if not self.answered.wait_for(lambda: key in self.answers, TIMEOUT):
                return {"error": f"no answer to {key}"}
            return self.answers.pop(key)

    def subscribe(self, filter, qos=0, subscriptionId=0):
        extra = {"qos": qos}
        if self.version == mqtt.MQTTv5:
            extra = {"options": mqtt.SubscribeOptions(qos=qos)}
            if subscriptionId:
                extra["properties"] = properties(PacketTypes.SUBSCRIBE, {"subscriptionIds": subscriptionId})
        return self.wait(self.client.subscribe(filter, **extra)[1])

    def send(self, message, payload):
        extra = {}
        if self.version == mqtt.MQTTv5 and message.get("properties"):
            extra["properties"] = properties(PacketTypes.PUBLISH, message["properties"])
        return self.client.publish(message["topic"], payload, message.get("qos", 0), message.get("retain", False), **extra).mid

    def publish(self, message):
        return self.wait(self.send(message, base64.b64decode(message["payload"])))

    def burst(self, message, count):
        """Publish the numbers below count; the client itself minds how many are in flight."""
        mids = []
        for i in range(count):
            mids.append(self.send(message, str(i)))
            if message.get("properties", {}).get("topicAlias"):
                message["topic"] = ""
        for mid in mids:
            answer = self.wait(mid)
            if "error" in answer:
                return answer
        return {}

    def disconnect(self):
        self.client.disconnect()
        self.client.loop_stop()
        return {}

    def abort(self):
        connection = self.client.socket()
        getattr(connection, "_socket", connection).shutdown(socket.SHUT_RDWR)  # under the wrapper of a WebSocket
        self.client.loop_stop()
        return {}


def main():
    peers = {}
    for line in sys.stdin:
        command = json.loads(line)
        number, operation = command.pop("peer"), command.pop("op")
        peer = peers.setdefault(number, Peer(number))
        try:
            answer = getattr(peer, operation)(**command)
        except Exception as error:  # told to the test, which fails
            answer = {"error": repr(error)}
        report(number, answer=answer)


main()
