package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"nightjar/sessions"
)

// The files in the data folder.
const (
	dbFile   = "nightjar.db"
	walFile  = "nightjar.db-wal"
	shmFile  = "nightjar.db-shm"
	lockFile = "nightjar.lock"
)

// What a caller may want to tell apart.
var (
	ErrInUse   = errors.New("data folder is in use by another broker")
	ErrDamaged = errors.New("database is damaged")
	ErrNewer   = errors.New("database was written by a newer version of Nightjar")
)

const (
	// applicationID marks the database as ours in its header: "NJar".
	applicationID = 0x4e4a6172
	// checkTime bounds the check of the database's structure at start.
	checkTime = 5 * time.Second
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Open opens the store in cfg.Dir, or makes it. It refuses what is not safe to go on with: a folder that another
// broker uses (ErrInUse), files that others may read or that are not what they seem, a database that is damaged
// (ErrDamaged) or newer than this program (ErrNewer). Nothing is changed then.
func Open(cfg Config) (*SQLite, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", cfg.Dir, err)
	}
	cfg.Dir = dir
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	lock, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	s := &SQLite{cfg: cfg, lock: lock, ticket: 1, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if s.db, err = openDatabase(cfg); err != nil {
		lock.Close()
		return nil, err
	}
	s.db.closing = func() bool { _, closing := s.state(); return closing }
	return s, nil
}

// openDatabase checks the files, opens the connection and makes it ready for use.
func openDatabase(cfg Config) (*database, error) {
	path := filepath.Join(cfg.Dir, dbFile)
	for _, name := range []string{dbFile, walFile, shmFile} {
		if err := checkFile(filepath.Join(cfg.Dir, name)); err != nil {
			return nil, err
		}
	}
	if fileSize(path) == 0 && fileSize(filepath.Join(cfg.Dir, walFile)) > 0 {
		return nil, fmt.Errorf("%w: %s is missing or empty, but its log %s is there: "+
			"put the file back, or move the log away to start empty", ErrDamaged, path, walFile)
	}
	if err := makeFile(path); err != nil {
		return nil, err
	}
	conn, err := new(sqlite.Driver).Open(fileURI(path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, damaged(err))
	}
	d := &database{
		conn: conn, log: cfg.Log, closing: func() bool { return true },
		shared: make(map[int64]*sessions.Stored), walPath: filepath.Join(cfg.Dir, walFile),
		syncFile: (*os.File).Sync,
		// What a crash left in the log counts: a broker that dies often would never come to a checkpoint.
		frames: int(fileSize(filepath.Join(cfg.Dir, walFile)) / frameBytes),
	}
	if cfg.Mode == Relaxed {
		d.syncEvery = cfg.SyncEvery
	}
	if err := errors.Join(d.setUp(cfg.Mode, schemaFiles), syncDir(cfg.Dir)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open %s: %w", path, damaged(err))
	}
	return d, nil
}

// fileURI names a file for SQLite, whatever characters are in its path.
func fileURI(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// damaged adds to SQLite's words for a damaged file what to do.
func damaged(err error) error {
	switch code(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w; restore a backup, or move the file away to start empty", ErrDamaged, err)
	}
	return err
}

// setUp brings connection and schema to what the rest relies on.
func (d *database) setUp(mode Mode, schema fs.FS) error {
	if err := d.script(fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds())); err != nil {
		return err
	}
	steps, err := migrations(schema)
	if err != nil {
		return err
	}
	version, err := d.checkOrigin(len(steps))
	if err != nil {
		return err
	}
	if version > 0 {
		if err := d.check(); err != nil {
			return err
		}
	}
	if err := d.setPragmas(mode); err != nil {
		return err
	}
	if err := d.migrate(steps, version); err != nil {
		return err
	}
	if err := d.sweep(); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	last, err := d.number(`SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'session'`)
	if err != nil {
		return err
	}
	d.lastSession.Store(uint64(last))
	if d.lastMessage, err = d.number(`SELECT coalesce(max(id), 0) FROM message`); err != nil {
		return err
	}
	return d.prepare()
}

// checkOrigin reads the schema version, and refuses databases that are not ours or newer than newest.
func (d *database) checkOrigin(newest int) (version int, err error) {
	tables, err := d.number(`SELECT count(*) FROM sqlite_schema`)
	if err != nil || tables == 0 {
		return 0, err
	}
	id, err := d.number(`PRAGMA application_id`)
	if err != nil {
		return 0, err
	}
	if id != applicationID {
		return 0, fmt.Errorf("it is a database of another program (application id 0x%08x): name another data folder", id)
	}
	v, err := d.number(`PRAGMA user_version`)
	if err != nil {
		return 0, err
	}
	if v > int64(newest) {
		return 0, fmt.Errorf("%w: schema %d, this one knows up to %d: use the newer version", ErrNewer, v, newest)
	}
	return int(v), nil
}

// setPragmas sets what the connection needs, and reads back what durability rests on.
func (d *database) setPragmas(mode Mode) error {
	synchronous := int64(2) // FULL
	if mode == Relaxed {
		synchronous = 1 // NORMAL
	}
	for _, pragma := range []string{
		fmt.Sprintf(`page_size = %d`, pageSize), // of a new database
		`cache_size = -2048`,                    // KiB
		`temp_store = MEMORY`,
		`foreign_keys = OFF`,
		`journal_size_limit = -1`,
		`wal_autocheckpoint = 0`, // the committer does it
		`fullfsync = ON`,         // where fsync alone does not reach the disk: macOS
		fmt.Sprintf(`synchronous = %d`, synchronous),
	} {
		if err := d.script("PRAGMA " + pragma); err != nil {
			return fmt.Errorf("PRAGMA %s: %w", pragma, err)
		}
	}
	journal, err := d.text(`PRAGMA journal_mode = WAL`)
	if err != nil {
		return fmt.Errorf("PRAGMA journal_mode: %w", err)
	}
	if journal != "wal" {
		return fmt.Errorf("SQLite's journal mode is %q and not wal: is the data folder on a network file system?", journal)
	}
	got, err := d.number(`PRAGMA synchronous`)
	if err != nil {
		return fmt.Errorf("PRAGMA synchronous: %w", err)
	}
	if got != synchronous {
		return fmt.Errorf("SQLite's synchronous is %d and not %d: acknowledged messages would not be safe", got, synchronous)
	}
	return nil
}

// migrations reads the steps of the schema: the file n.sql leads from version n-1 to n.
func migrations(schema fs.FS) (steps []string, err error) {
	for {
		text, err := fs.ReadFile(schema, fmt.Sprintf("schema/%d.sql", len(steps)+1))
		if errors.Is(err, fs.ErrNotExist) && len(steps) > 0 {
			return steps, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
		steps = append(steps, string(text))
	}
}

// migrate takes the steps after version, each in one transaction.
func (d *database) migrate(steps []string, version int) error {
	for v := version + 1; v <= len(steps); v++ {
		err := d.script(fmt.Sprintf("BEGIN IMMEDIATE;\n%s;\nPRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			steps[v-1], applicationID, v))
		if err != nil {
			_ = d.script("ROLLBACK") // the first error is what counts
			return fmt.Errorf("schema step %d: %w", v, err)
		}
		d.log.Debug("database schema", "version", v)
	}
	return nil
}

// check looks through the structure of the database, for checkTime at most.
func (d *database) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	var found string
	err := d.each(ctx, func(r *record) error {
		found = r.string()
		return r.err
	}, `PRAGMA quick_check(1)`)
	if ctx.Err() != nil {
		d.log.Info("check of the database cut short: it is large", "after_ms", checkTime.Milliseconds())
		return nil
	}
	if err == nil && found != "ok" {
		err = fmt.Errorf("%w: %s; restore a backup, or move the file away to start empty", ErrDamaged, found)
	}
	return err
}

// sweep deletes what belongs to sessions that are not there: an operation may have followed the end of its session.
// Shared messages that lose their last row so are deleted by load, which counts the rows.
func (d *database) sweep() error {
	return d.script(`BEGIN IMMEDIATE;
		DELETE FROM subscription WHERE session NOT IN (SELECT id FROM session);
		DELETE FROM held WHERE session NOT IN (SELECT id FROM session);
		DELETE FROM message WHERE shared = 0 AND id IN
			(SELECT message FROM queue WHERE session NOT IN (SELECT id FROM session));
		DELETE FROM queue WHERE session NOT IN (SELECT id FROM session);
		COMMIT`)
}

// makeFile makes a file for the owner alone, if it is not there.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(0o600) // whatever the umask
}
