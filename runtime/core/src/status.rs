//! What `list` and `describe` answer: values as the API's JSON has them (command line and SDK §5).
