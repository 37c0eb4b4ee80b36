package client

import (
	"unicode/utf8"

	"nightjar/topics"
)

// topicLimits are those of the protocol itself: what a server allows is for the server to say.
var topicLimits = topics.Limits{Bytes: 65535, Levels: 65536, AllowControl: true}

// checkName refuses a Topic Name that no server may accept.
func checkName(topic string) error {
	return checkTopic(topic, topics.CheckName([]byte(topic), topicLimits))
}

// checkFilter refuses a Topic Filter that no server may accept.
func checkFilter(filter string) error {
	_, real, _, err := topics.SplitShared(filter)
	if err == nil {
		err = topics.CheckFilter(real, topicLimits)
	}
	return checkTopic(filter, err)
}

func checkTopic(topic string, err error) error {
	switch {
	case !utf8.ValidString(topic):
		return usagef("%q: topic is not UTF-8", topic)
	case err != nil:
		return usagef("%q: %v", topic, err)
	}
	return nil
}
