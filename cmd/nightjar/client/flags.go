package client

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is a titled part of the flags, so that the help of 40 flags can be read.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// flagGroups collects the flags of a command.
type flagGroups []flagGroup

func (g *flagGroups) add(title string) *pflag.FlagSet {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	*g = append(*g, flagGroup{title, set})
	return set
}

// connectionFlags are the flags that pub and sub share.
type connectionFlags struct {
	host, url, unix, bind  string
	port                   int
	version                string
	id, idPrefix           string
	username, password     string
	passwordFile           string
	persistent             bool
	sessionExpiry          string
	keepAliveSeconds       uint16
	answerTimeout          time.Duration
	qos                    uint8
	cafile, capath         string
	cert, key, alpn        string
	insecure, osCerts      bool
	willTopic, willPayload string
	willQoS                uint8
	willRetain             bool
	properties             propertyFlags
	debug, quiet           bool
	set                    func(name string) bool // whether a flag was given
}

func (f *connectionFlags) register(groups *flagGroups) {
	set := groups.add("Server")
	set.StringVarP(&f.host, "host", "h", "localhost", "`host` name or address of the server")
	set.IntVarP(&f.port, "port", "p", 0, "`port` of the server (default 1883, or 8883 with TLS)")
	set.StringVarP(&f.url, "url", "L", "", "server as a `URL`: mqtt|mqtts|tcp|tls://[user[:password]@]host[:port][/topic], ws|wss://host[:port]/path, unix:///socket")
	set.StringVar(&f.unix, "unix", "", "`path` of a Unix socket to connect to")
	set.StringVarP(&f.bind, "bind", "A", "", "local `address` to connect from")
	set.Bool("nodelay", true, "")
	_ = set.MarkHidden("nodelay") // mosquitto's flag; connections of Go never delay
	set.StringVarP(&f.version, "protocol-version", "V", "311", "MQTT `version`: 31, 311 or 5, also mqttv31, mqttv311, mqttv5; -D and -x imply 5")
	set.DurationVar(&f.answerTimeout, "answer-timeout", 30*time.Second, "longest wait for any answer of the server")

	set = groups.add("Session")
	set.StringVarP(&f.id, "id", "i", "", "client `identifier` (default: a random one)")
	set.StringVarP(&f.idPrefix, "id-prefix", "I", "", "make the client identifier of this `prefix` and the process id")
	set.StringVarP(&f.username, "username", "u", "", "user `name`")
	set.StringVarP(&f.password, "pw", "P", "", "`password`; every user of this machine can see it in the process list, so prefer --password-file or NIGHTJAR_PASSWORD")
	set.StringVar(&f.passwordFile, "password-file", "", "read the password from the first line of this `file`; without it, and with a user name, NIGHTJAR_PASSWORD is used")
	set.BoolVarP(&f.persistent, "disable-clean-session", "c", false, "keep the session after the client leaves, and take up an existing one; needs -i")
	set.StringVarP(&f.sessionExpiry, "session-expiry-interval", "x", "", "`seconds` that the session outlives the connection (MQTT 5); -1 for ever (default -1 with -c, else 0)")
	set.Uint16VarP(&f.keepAliveSeconds, "keepalive", "k", 60, "keep alive in `seconds`; 0 for none")
	set.VarP(&f.properties, "property", "D", "MQTT 5 property, may be repeated: -D publish user-property name value; commands: "+strings.Join(commandNames[:], ", "))

	set = groups.add("TLS")
	set.StringVar(&f.cafile, "cafile", "", "PEM `file` with the CA certificates to trust; asks for TLS")
	set.StringVar(&f.capath, "capath", "", "`directory` with PEM files of CA certificates to trust; asks for TLS")
	set.BoolVar(&f.osCerts, "tls-use-os-certs", false, "trust the CA certificates of the system; asks for TLS")
	set.StringVar(&f.cert, "cert", "", "PEM `file` with the client's certificate")
	set.StringVar(&f.key, "key", "", "PEM `file` with the client's private key")
	set.BoolVar(&f.insecure, "insecure", false, "do not check the server's host name, and without --cafile or --capath no certificate at all: for tests only")
	set.StringVar(&f.alpn, "tls-alpn", "", "`protocol` to ask for by ALPN")

	set = groups.add("Will")
	set.StringVar(&f.willTopic, "will-topic", "", "`topic` of the message that the server sends when this client vanishes")
	set.StringVar(&f.willPayload, "will-payload", "", "`payload` of that message (default empty)")
	set.Uint8Var(&f.willQoS, "will-qos", 0, "`QoS` of that message")
	set.BoolVar(&f.willRetain, "will-retain", false, "retain that message")

	set = groups.add("Other")
	set.BoolVarP(&f.debug, "debug", "d", false, "tell of every packet on standard error")
	set.BoolVar(&f.quiet, "quiet", false, "print no error messages; the exit status tells")
	set.Bool("help", false, "show this help")
}

// install puts the groups on a command, which parses them itself: cobra's own parsing knows neither flags of
// several values, as -D is, nor a -h that is not help.
func (g flagGroups) install(cmd *cobra.Command, run func(cmd *cobra.Command) error) {
	for _, group := range g {
		cmd.Flags().AddFlagSet(group.flags)
	}
	cmd.DisableFlagParsing = true
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.DisableFlagsInUseLine = true
	cmd.SetUsageFunc(g.usage)
	cmd.ValidArgsFunction = g.complete
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		help, rest, err := g.parse(cmd, args)
		switch {
		case help:
			return cmd.Help()
		case err != nil:
			return finish(cmd, false, usagef("%v", err))
		case len(rest) > 0:
			return finish(cmd, false, usagef("unexpected argument %q: everything is said with flags", rest[0]))
		}
		return run(cmd)
	}
}

// parse reads the flags and returns what is left over.
func (g flagGroups) parse(cmd *cobra.Command, args []string) (help bool, rest []string, err error) {
	cmd.DisableFlagParsing = false
	defer func() { cmd.DisableFlagParsing = true }()
	if err := cmd.ParseFlags(joinProperties(cmd.Flags(), args)); err != nil {
		return false, nil, err
	}
	help, err = cmd.Flags().GetBool("help")
	return help, cmd.Flags().Args(), err
}

// joinProperties makes one argument of each -D and the two or three words that belong to it after its command.
func joinProperties(flags *pflag.FlagSet, args []string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(joined, args[i:]...)
		}
		if arg != "-D" && arg != "--property" {
			joined = append(joined, arg)
			if takesNext(flags, arg) && i+1 < len(args) {
				i++
				joined = append(joined, args[i])
			}
			continue
		}
		words := 3
		if i+2 < len(args) && strings.EqualFold(args[i+2], userProperty) {
			words = 4
		}
		end := min(i+1+words, len(args))
		joined = append(joined, "--property="+strings.Join(args[i+1:end], propertySeparator))
		i = end - 1
	}
	return joined
}

// takesNext says whether the argument after a flag is its value.
func takesNext(flags *pflag.FlagSet, arg string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		found := flags.Lookup(name)
		return found != nil && found.NoOptDefVal == ""
	}
	letters, short := strings.CutPrefix(arg, "-")
	for i := range letters {
		found := flags.ShorthandLookup(letters[i : i+1])
		if found == nil {
			return false
		}
		if found.NoOptDefVal == "" {
			return short && i == len(letters)-1
		}
	}
	return false
}

// usage prints the help below a command's description.
func (g flagGroups) usage(cmd *cobra.Command) error {
	out := cmd.OutOrStderr()
	fmt.Fprintf(out, "Usage:\n  %s\n\nExamples:\n%s\n", cmd.UseLine(), cmd.Example)
	for _, group := range g {
		fmt.Fprintf(out, "\n%s:\n%s", group.title, strings.ReplaceAll(group.flags.FlagUsagesWrapped(helpColumns), pflagBool, blank))
	}
	return nil
}

// pflag shows that a switch takes a value too; mosquitto's do not, and the help reads better without.
const pflagBool = "[=true|false]"

var blank = strings.Repeat(" ", len(pflagBool))

// helpColumns is how wide the help is.
const helpColumns = 110

// complete offers the flags to the shell.
func (g flagGroups) complete(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if !strings.HasPrefix(toComplete, "-") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var offers []string
	for _, group := range g {
		group.flags.VisitAll(func(f *pflag.Flag) {
			if name := "--" + f.Name; strings.HasPrefix(name, toComplete) {
				offers = append(offers, name+"\t"+f.Usage)
			}
		})
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
