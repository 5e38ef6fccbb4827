// What makes the pages live. Each of them works without this, too.
import { startActions } from "./actions";
import { startCountdown } from "./countdown";
import { startDeploy } from "./deploy";
import { startDialogs } from "./dialogs";
import { startStream } from "./live";
import { startLook } from "./look";
import { startOutput } from "./output";
import { startPeople } from "./people";
import { startRetry } from "./retry";
import { startScripts } from "./scripts";
import { startTimes } from "./time";

startTimes();
startActions();
startDeploy();
startDialogs();
startLook();
startOutput();
startScripts();
startStream();
startPeople();
startRetry();
startCountdown();
