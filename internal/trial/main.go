// Command trial is a bare broker while cmd/nightjar is being written.
package main

import (
	"fmt"
	"log/slog"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"nightjar/auth"
	"nightjar/broker"
	"nightjar/store"
	"nightjar/transports"
)


func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	clock := broker.Clock()
	a, err := auth.Open(auth.DefaultConfig())
	if err != nil {
		panic(err)
	}
	var st *store.SQLite
	var bst broker.Store
	if dir := os.Getenv("DATA"); dir != "" {
		c := store.DefaultConfig()
		c.Dir, c.Log = dir, log
		if st, err = store.Open(c); err != nil {
			panic(err)
		}
		bst = st
	}
	b, err := broker.New(broker.DefaultConfig(), a, bst, map[string]broker.Listener{"tcp": {AllowAnonymous: true}}, clock, log)
	if err != nil {
		panic(err)
	}
	s, err := transports.New(transports.Config{Clock: clock, Log: log}, b)
	if err != nil {
		panic(err)
	}
	b.Attach(s)
	if st != nil {
		if err := st.Load(b.Restore(st.LastSession())); err != nil {
			panic(err)
		}
		st.Start(b.Gate(), b.Durable)
	}
	if _, err := s.Listen(transports.ListenerConfig{Name: "tcp", Network: "tcp", Address: os.Args[1]}); err != nil {
		panic(err)
	}
	if len(os.Args) > 2 {
		go http.ListenAndServe(os.Args[2], nil)
	}
	if err := s.Start(); err != nil {
		panic(err)
	}
	b.Start()
	fmt.Println("ready")
	go func() {
		for range time.Tick(3 * time.Second) {
			debug.FreeOSMemory()
		}
	}()
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt)
	<-ch
}
