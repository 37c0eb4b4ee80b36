package hostile

var web []row
