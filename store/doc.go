// Package store holds the durable form of sessions and retained messages: what must be there again after a
// crash or a power cut. [SQLite] keeps it in a data folder, [Memory] in memory for tests and simulation; both
// apply the same [sessions.Op]s and answer to the same test.
//
// # Batches and tickets
//
//	Append ─► open batch ─take─► one transaction: BEGIN IMMEDIATE … COMMIT ─► onCommit(ticket)
//	          (ticket n)         meanwhile the next batch fills (ticket n+1)
//
// Append only adds an Op to the open batch and answers with the batch's number, the ticket. One goroutine, the
// committer, takes the whole open batch as one transaction, so that one fsync serves all that wait (group
// commit). Batches are committed in order and never split: when ticket n is durable, so is every Op that was
// appended before. An Op whose message was acknowledged by its receivers while it waited is struck: it costs no
// disk, and a batch in which nothing is left costs no transaction.
//
// # Errors are final
//
// After a failed write or fsync nobody knows what the disk holds, and an fsync that is tried again may report
// success for data that is lost. So the first error ends the store: it is told once to onCommit, nothing more is
// committed, and no later ticket becomes durable. Recovery is by restart. The one thing that is waited for is the
// lock of another program on the database, because nothing has been written then.
//
// # Messages with several receivers
//
// A message is stored once, with one row for each queue that holds it. [sessions.Stored] counts the rows, and the
// committer keeps a map of those messages only that have more than one: it needs them where a session is deleted
// and only the numbers of its messages are at hand. A message that is not in the map has no other row.
package store
