package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"nightjar/sessions"
)

const (
	pageSize = 8192
	// frameBytes is what one page takes in the write-ahead log.
	frameBytes = pageSize + 24
	// checkpointBytes is how much the write-ahead log takes before its pages are moved to the database file.
	checkpointBytes = 16 << 20
	// busyTimeout is how long SQLite waits for another program's lock before it says so.
	busyTimeout = 5 * time.Second
	// argumentsMax is the highest number of parameters of a statement.
	argumentsMax = 512
)

// database is the one connection to SQLite, with its prepared statements. It is used by one goroutine at a time.
type database struct {
	conn       driver.Conn
	statements [statementCount]driver.StmtExecContext
	args       [argumentsMax]driver.NamedValue // reused by exec
	inTx       bool
	changed    int64 // rows changed by the transaction
	log        *slog.Logger
	closing    func() bool // ends the wait for the lock of another program

	lastSession atomic.Uint64
	lastMessage int64
	// shared holds the messages that more than one written row refers to.
	shared map[int64]*sessions.Stored
	rows   []*sessions.Row // scratch of publish
	ids    []byte          // scratch of insertRow

	frames int // pages written to the write-ahead log since the last checkpoint

	// For Relaxed only. The log is synced through a descriptor of our own: SQLite locks the database and its
	// -shm file, never the log, so that closing it drops no lock.
	syncEvery time.Duration // 0 in Strict
	syncDue   time.Time     // zero when all is synced
	walPath   string
	wal       *os.File
	syncFile  func(*os.File) error // (*os.File).Sync; tests make it fail
}

// exec runs a prepared statement, and begins a transaction if there is none. Integers are passed as int64.
func (d *database) exec(s statement, args ...driver.Value) (changed int64, err error) {
	if !d.inTx {
		if err := d.begin(); err != nil {
			return 0, err
		}
	}
	for i, v := range args {
		d.args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	result, err := d.statements[s].ExecContext(context.Background(), d.args[:len(args)])
	if err != nil {
		return 0, fmt.Errorf("%v: %w", s, err)
	}
	changed, err = result.RowsAffected()
	d.changed += changed
	return changed, err
}

// begin takes SQLite's write lock. While another program holds it nothing has been written: that is waited for.
func (d *database) begin() error {
	for waited := busyTimeout; ; waited += busyTimeout {
		_, err := d.statements[begin].ExecContext(context.Background(), nil)
		if err == nil {
			d.inTx = true
			return nil
		}
		if code(err) != sqlite3.SQLITE_BUSY || d.closing() {
			return fmt.Errorf("%v: %w", begin, err)
		}
		d.log.Warn("another program holds the lock of the database: nothing is acknowledged until it lets go",
			"waited_ms", waited.Milliseconds(), "error", err)
	}
}

// commit applies ops in one transaction and returns the number of rows that changed. Without any, there is
// no transaction.
func (d *database) commit(ops []sessions.Op) (changed int64, err error) {
	d.changed = 0
	for i := range ops {
		if err := d.apply(&ops[i]); err != nil {
			d.rollback()
			return 0, err
		}
	}
	if !d.inTx {
		return 0, nil
	}
	if _, err := d.statements[commit].ExecContext(context.Background(), nil); err != nil {
		d.rollback()
		return 0, fmt.Errorf("%v: %w", commit, err)
	}
	d.inTx = false
	pages, _, err := d.conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, true)
	d.frames += pages
	if d.syncEvery > 0 && d.syncDue.IsZero() {
		d.syncDue = time.Now().Add(d.syncEvery)
	}
	return d.changed, err
}

// rollback gives the write lock back; in WAL mode it writes nothing.
func (d *database) rollback() {
	if d.inTx {
		d.inTx = false
		_, _ = d.statements[rollback].ExecContext(context.Background(), nil) // after an error it may be done already
	}
}

// checkpointIfLong moves what the write-ahead log holds to the database file once there is much of it, so that the
// log starts over. A reader (a backup) may hold some of it back: then the rest goes the next time.
func (d *database) checkpointIfLong() error {
	if d.frames*frameBytes < checkpointBytes {
		return nil
	}
	start, pages := time.Now(), d.frames
	d.frames = 0
	if err := d.script("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	d.log.Debug("checkpoint", "pages", pages, "duration_ms", time.Since(start).Milliseconds())
	return nil
}

// sync makes all that is committed survive a power cut, in Relaxed.
func (d *database) sync() (err error) {
	d.syncDue = time.Time{}
	if d.wal == nil {
		if d.wal, err = os.Open(d.walPath); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	if err := d.syncFile(d.wal); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// close checkpoints everything and closes the connection.
func (d *database) close() error {
	var errs []error
	errs = append(errs, d.script("PRAGMA wal_checkpoint(TRUNCATE)"))
	for _, s := range d.statements {
		if s != nil {
			errs = append(errs, s.(driver.Stmt).Close())
		}
	}
	if d.wal != nil {
		errs = append(errs, d.wal.Close())
	}
	return errors.Join(append(errs, d.conn.Close())...)
}

// script runs SQL text of our own that returns no rows of interest.
func (d *database) script(text string) error {
	_, err := d.conn.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

// each calls fn for every row that a query of our own returns, columns in order. The record is valid during the call.
func (d *database) each(ctx context.Context, fn func(*record) error, query string, args ...int64) (err error) {
	named := make([]driver.NamedValue, len(args))
	for i, v := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	rows, err := d.conn.(driver.QueryerContext).QueryContext(ctx, query, named)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r := &record{columns: rows.Columns(), values: make([]driver.Value, len(rows.Columns()))}
	for {
		err := rows.Next(r.values)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.at, r.err = 0, nil
		if err := fn(r); err != nil {
			return err
		}
	}
}

// text asks for the one value that a pragma or query returns.
func (d *database) text(query string) (answer string, err error) {
	err = d.each(context.Background(), func(r *record) error {
		answer = fmt.Sprint(r.values[0])
		return nil
	}, query)
	return answer, err
}

// number is text for an integer.
func (d *database) number(query string) (answer int64, err error) {
	err = d.each(context.Background(), func(r *record) error {
		answer = r.int()
		return r.err
	}, query)
	return answer, err
}

// record reads the columns of one row, one after the other. After the first that has not the type asked for,
// which only a damaged database has, err is set.
type record struct {
	columns []string
	values  []driver.Value
	at      int
	err     error
}

func (r *record) int() int64     { return next[int64](r) }
func (r *record) string() string { return next[string](r) }
func (r *record) bool() bool     { return r.int() != 0 }

// blob returns nil for NULL.
func (r *record) blob() []byte {
	if r.values[r.at] == nil {
		r.at++
		return nil
	}
	return next[[]byte](r)
}

func next[T any](r *record) T {
	v, ok := r.values[r.at].(T)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%w: column %s holds %T", ErrDamaged, r.columns[r.at], r.values[r.at])
	}
	r.at++
	return v
}

// code is the primary result code of SQLite in err, or 0.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}
