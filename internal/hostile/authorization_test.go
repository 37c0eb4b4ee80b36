package hostile

var authorization []row
