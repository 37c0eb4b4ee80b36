// MQTT.js in Node: commands come as lines of JSON and reports go as such.
import { createInterface } from 'node:readline'
import mqtt from 'mqtt'
import { driver } from './driver.mjs'

const command = driver(mqtt, Buffer, report => process.stdout.write(JSON.stringify(report) + '\n'))
for await (const line of createInterface({ input: process.stdin })) command(JSON.parse(line))
process.exit(0)
