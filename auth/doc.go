// Package auth decides who may connect, and what they may publish, subscribe to and receive.
//
// # Who: [Auth.Authenticate]
//
//	client certificate names the user ──► that user            (no password is asked for)
//	no password file                  ──► anonymous, if the listener allows it; else 0x87
//	no user name, or no password      ──► the same; a user name without a password: 0x87
//	user name and password            ──► password file: that user; else 0x86
//	authentication method (SCRAM)     ──► password file: the user who is proved ([Auth.Begin]); else 0x87, 0x8C
//
// A user name that nobody has checked is never believed: where there is no password file it is
// ignored, and the client is anonymous.
//
// # What: [Auth.Authorize]
//
// Without an ACL file everything but $-topics is allowed. With one, nothing is, but what a
// rule of the client's allows and no rule of the client's denies. The file format is Mosquitto's.
//
// # Failing closed
//
// All files are loaded before any of them counts. A file that is missing, unreadable, empty or
// malformed in any line is an error: [Open] refuses, and [Auth.Reload] keeps what was there.
package auth
