//! Console output, which may contain secrets.

use super::*;

fn console(instance: &str, output: &str) -> String {
    ok(&format!(
        "<GetConsoleOutputResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
         <instanceId>{instance}</instanceId><timestamp>2026-11-24T08:00:00.000Z</timestamp>{output}\
         </GetConsoleOutputResponse>"
    ))
}

#[tokio::test]
async fn console_output_is_hidden_in_debug() {
    let folded = "<output>aHVudGVy\n  MiBsb2dpbjo=\n</output>";
    let server =
        Server::start(vec![console("i-1", folded), console("i-1", "<output/>"), console("i-1", "")]).await;
    let client = client(&server.url).await;
    let id = "i-1".parse().unwrap();
    let latest = client.console_output(&id, ConsoleForm::Latest).await.unwrap();
    assert_eq!(latest.bytes(), b"hunter2 login:");
    assert_eq!(format!("{latest:?}"), "ConsoleOutput(14 bytes)");
    for _ in 0..2 {
        assert!(client.console_output(&id, ConsoleForm::Posted).await.unwrap().bytes().is_empty());
    }
    let posted = "Action=GetConsoleOutput&Version=2016-11-15&InstanceId=i-1";
    assert_eq!(server.bodies(), [&format!("{posted}&Latest=true"), posted, posted], "nothing is cached");
}

#[tokio::test]
async fn malformed_console_error_has_no_content() {
    let id = "i-1".parse().unwrap();
    let ask = async |answer: String| {
        let server = Server::start(vec![answer]).await;
        client(&server.url).await.console_output(&id, ConsoleForm::Latest).await.unwrap_err()
    };
    for answer in [
        console("i-2", "<output>aHVudGVyMg==</output>"),
        console("i-1", "<output>hunter2!</output>"),
        console("i-1", "<output>hunter2</outp>"),
        ok("<html>hunter2</html>"),
    ] {
        let error = ask(answer.clone()).await;
        assert!(matches!(error, AwsError::Malformed { .. }), "{answer}: {error:?}");
        assert!(!format!("{error:?} {}", error_chain(&error)).contains("hunter2"), "{error:?}");
    }
    let huge = console("i-1", &format!("<output>{}</output>", "QUFB".repeat(90_000)));
    assert!(matches!(ask(huge).await, AwsError::TooLarge { .. }));
    let error = ask(error_response("400 Bad Request", "UnsupportedOperation")).await;
    assert!(matches!(error, AwsError::State(_)), "an unsupported instance type: {error:?}");
    let error = ask(error_response("403 Forbidden", "UnauthorizedOperation")).await;
    assert!(error.hint().unwrap().contains("ec2:GetConsoleOutput"), "{error:?}");
}
