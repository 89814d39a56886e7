// The page of a person in a room: one message in answer to each message of the game master, exactly as it is typed.
// slurk runs this whenever it applies the layout, which it does anew after a lost connection.
(function () {
  if (window.clemcoreRoom) return;
  window.clemcoreRoom = true;

  // slurk itself sets "readonly" and the placeholder whenever it applies a layout; "disabled" is ours alone.
  function wait(isWaiting) {
    $("#text").prop("disabled", isWaiting);
    $("#type-area").attr("title", isWaiting ? "Please wait for the next message." : "");
    if (!isWaiting) $("#text").trigger("focus");
  }

  // Everything that is typed is an answer: a "/", "@" or "image:" in front has no special meaning.
  keypress = function (room, user, time, text) {
    const answer = text.trim();
    if (!answer) return;
    wait(true);
    submit_text(
      answer,
      function () {
        display_message(user, time, answer, false);
      },
      function (error) {
        $("#text").val(text);
        wait(false);
        display_info(time, "Not sent: " + (error || "please try again"));
      }
    );
  };

  // After a reload of the page: the episode so far, and whose turn it is.
  window.print_history = function (entry) {
    const isText = entry.event === "text_message";
    const isImage = entry.event === "image_message";
    const time = entry.date_modified || entry.date_created;
    if (entry.event === "command" && entry.data.command === "done") {
      $("#chat-area").empty();
      wait(true);
    } else if (isText) {
      display_message(entry.user, time, entry.data.message, false);
    } else if (isImage) {
      display_image(entry.user, time, entry.data.url, entry.data.width, entry.data.height, false);
    }
    if (isText || isImage) wait(Number(entry.user.id) === Number(self_user.id));
  };

  function heard(data) {
    if (self_user !== undefined && data.user.id !== self_user.id) wait(false);
  }
  socket.on("text_message", heard);
  socket.on("image_message", heard);

  socket.on("command", function (data) {
    if (data.command !== "done") return;
    $("#chat-area").empty();
    display_info(null, "This episode is over. The next one begins with the next message.");
    wait(true);
  });

  wait(true);
})();
