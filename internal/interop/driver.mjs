// What a command asks of MQTT.js, in Node and in a browser alike. Commands and reports are those of script_test.go.

const bytes = base64 => Uint8Array.from(atob(base64 ?? ''), c => c.charCodeAt(0))
const base64 = buffer => buffer?.toString('base64')
const defined = object => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))

// mqtt.js keeps user properties as an object: name to value, or to several.
function userProperties(pairs) {
  if (!pairs) return undefined
  const object = {}
  for (const [name, value] of pairs) object[name] = [...(object[name] ?? []), value]
  return object
}

function properties(version, p, Buffer) {
  if (version < 5 || !p) return undefined
  return defined({
    contentType: p.contentType,
    responseTopic: p.responseTopic,
    correlationData: p.correlationData && Buffer.from(bytes(p.correlationData)),
    messageExpiryInterval: p.messageExpiry,
    payloadFormatIndicator: p.payloadFormat === undefined ? undefined : p.payloadFormat === 1,
    topicAlias: p.topicAlias,
    userProperties: userProperties(p.userProperties),
  })
}

function message(topic, payload, packet) {
  const p = packet.properties ?? {}
  return {
    topic, payload: base64(payload), qos: packet.qos, retain: packet.retain,
    properties: {
      contentType: p.contentType,
      responseTopic: p.responseTopic,
      correlationData: base64(p.correlationData),
      messageExpiry: p.messageExpiryInterval,
      payloadFormat: p.payloadFormatIndicator === undefined ? undefined : Number(p.payloadFormatIndicator),
      subscriptionIds: p.subscriptionIdentifier === undefined ? undefined : [p.subscriptionIdentifier].flat(),
      userProperties: p.userProperties && Object.entries(p.userProperties).flatMap(([name, values]) => [values].flat().map(v => [name, v])),
    },
  }
}

export function driver(mqtt, Buffer, report) {
  const peers = new Map()

  // answered calls what takes a callback, and resolves with what the broker has said: the first packet of these kinds.
  function answered(client, kinds, call) {
    return new Promise(resolve => {
      let said = {}
      const listen = packet => { if (kinds.includes(packet.cmd) && said.cmd === undefined) said = packet }
      client.on('packetreceive', listen)
      call(error => {
        client.removeListener('packetreceive', listen)
        if (error && said.cmd === undefined) return resolve({ error: String(error) })
        resolve({
          code: said.reasonCode ?? said.returnCode ?? said.granted?.[0] ?? 0,
          reason: said.properties?.reasonString,
          sessionPresent: said.sessionPresent,
        })
      })
    })
  }

  const operations = {
    connect(peer, { url, version, options: o }) {
      const client = mqtt.connect(url, defined({
        protocolVersion: version, protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
        clientId: o.clientId, clean: o.clean ?? false, keepalive: 60, reconnectPeriod: 0, resubscribe: false,
        will: o.will && { topic: o.will.topic, payload: Buffer.from(bytes(o.will.payload)), qos: o.will.qos ?? 0, retain: o.will.retain ?? false },
        properties: version < 5 ? undefined : defined({
          sessionExpiryInterval: o.sessionExpiry, receiveMaximum: o.receiveMaximum, topicAliasMaximum: o.topicAliasMaximum,
        }),
      }))
      peers.set(peer, { client, version })
      client.on('message', (...m) => report({ peer, message: message(...m) }))
      return answered(client, ['connack'], done => {
        client.once('connect', () => done())
        client.once('error', done)
        client.once('close', () => done('closed'))
      })
    },

    subscribe(peer, { filter, qos, subscriptionId }) {
      const { client, version } = peers.get(peer)
      const options = { qos: qos ?? 0 }
      if (version === 5 && subscriptionId) options.properties = { subscriptionIdentifier: subscriptionId }
      return answered(client, ['suback'], done => client.subscribe(filter, options, done))
    },

    publish(peer, { message: m }) {
      const { client, version } = peers.get(peer)
      const options = defined({ qos: m.qos ?? 0, retain: m.retain ?? false, properties: properties(version, m.properties, Buffer) })
      return answered(client, ['puback', 'pubrec'], done => client.publish(m.topic, Buffer.from(bytes(m.payload)), options, done))
    },

    // burst publishes the numbers below count, not more at a time than a broker has to take.
    async burst(peer, { message: m, count }) {
      const { client, version } = peers.get(peer)
      const options = defined({ qos: m.qos ?? 0, properties: properties(version, m.properties, Buffer) })
      const topic = i => i > 0 && m.properties?.topicAlias ? '' : m.topic
      let next = 0
      await Promise.all(Array.from({ length: 50 }, async () => {
        for (let i = next++; i < count; i = next++) await client.publishAsync(topic(i), String(i), options)
      }))
      return {}
    },

    disconnect(peer) {
      const { client } = peers.get(peer)
      return new Promise(resolve => client.end(false, {}, () => resolve({})))
    },

    abort(peer) {
      const { client } = peers.get(peer)
      client.on('error', () => {})
      client.stream.destroy()
      return new Promise(resolve => client.end(true, {}, () => resolve({})))
    },
  }

  return async command => {
    try {
      report({ peer: command.peer, answer: await operations[command.op](command.peer, command) })
    } catch (error) {
      report({ peer: command.peer, answer: { error: error.stack } })
    }
  }
}
